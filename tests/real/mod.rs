//! Against real servers. They run when `REAL=1` and the stack's addresses are in the environment.

mod broker;
mod java;
mod kills;
mod stack;
mod world;

pub(crate) use self::world::on_stack;
