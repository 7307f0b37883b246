//! Namespaces.

use bytes::Bytes;

use super::Admin;
use crate::error::Error;
use crate::wire::message::{
    Empty, ListNamespaceDescriptorsResponse, NameStringPair, NamespaceHolder, NamespaceMessage, NamespaceNameRequest,
    ProcedureResponse,
};

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Name.
    pub name: String,
    /// Configuration, `hbase.namespace.quota.maxtables` and the like.
    pub configuration: Vec<(String, String)>,
}

impl Namespace {
    /// A namespace without configuration.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), configuration: Vec::new() }
    }

    pub(crate) fn message(&self) -> NamespaceMessage {
        let pair = |(name, value): &(String, String)| NameStringPair { name: name.clone(), value: value.clone() };
        NamespaceMessage {
            name: Bytes::copy_from_slice(self.name.as_bytes()),
            configuration: self.configuration.iter().map(pair).collect(),
        }
    }

    pub(crate) fn of_message(message: &NamespaceMessage) -> Self {
        Self {
            name: String::from_utf8_lossy(&message.name).into_owned(),
            configuration: message.configuration.iter().map(|pair| (pair.name.clone(), pair.value.clone())).collect(),
        }
    }
}

impl Admin {
    /// Makes a namespace.
    ///
    /// # Errors
    /// [`Error`]; one that exists is [`Error::Refused`] with `NamespaceExistException`.
    pub async fn create_namespace(&self, namespace: &Namespace) -> Result<(), Error> {
        let request = NamespaceHolder { namespace_descriptor: namespace.message() };
        let answer: ProcedureResponse = self.call(("CreateNamespace", "CreateNamespaceResponse"), &request).await?;
        self.finish(answer).await
    }

    /// Drops a namespace without tables.
    ///
    /// # Errors
    /// [`Error`]; one with tables is [`Error::Refused`] with `ConstraintException`, one that is not there with
    /// `NamespaceNotFoundException`.
    pub async fn drop_namespace(&self, name: &str) -> Result<(), Error> {
        let request = NamespaceNameRequest { namespace_name: name.to_owned() };
        let answer: ProcedureResponse = self.call(("DeleteNamespace", "DeleteNamespaceResponse"), &request).await?;
        self.finish(answer).await
    }

    /// All namespaces by name, `default` and `hbase` among them.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list_namespaces(&self) -> Result<Vec<Namespace>, Error> {
        let call = ("ListNamespaceDescriptors", "ListNamespaceDescriptorsResponse");
        let answer: ListNamespaceDescriptorsResponse = self.call(call, &Empty {}).await?;
        let mut found: Vec<Namespace> = answer.namespace_descriptor.iter().map(Namespace::of_message).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// A namespace; `None` if there is no such.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn describe_namespace(&self, name: &str) -> Result<Option<Namespace>, Error> {
        let request = NamespaceNameRequest { namespace_name: name.to_owned() };
        let called = self.call(("GetNamespaceDescriptor", "GetNamespaceDescriptorResponse"), &request).await;
        let answer: NamespaceHolder = match called {
            Err(Error::Refused(exception)) if exception.is("NamespaceNotFoundException") => return Ok(None),
            other => other?,
        };
        Ok(Some(Namespace::of_message(&answer.namespace_descriptor)))
    }
}
