//! Lanes against naive models.
