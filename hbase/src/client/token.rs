//! Delegation tokens: got with one proof, shown in its place.

use bytes::Bytes;

use super::Client;
use super::attempt::Attempts;
use crate::error::Error;
use crate::rpc::pool::Service;
use crate::scan::region_specifier;
use crate::security::Token;
use crate::wire::message::{
    CoprocessorServiceCall, CoprocessorServiceRequest, CoprocessorServiceResponse, GetAuthenticationTokenResponse,
};
use crate::wire::{WireError, decode};

/// Name of the one region of meta (`RegionInfoBuilder.FIRST_META_REGIONINFO`).
const META_REGION: &[u8] = b"hbase:meta,,1";

impl Client {
    /// A delegation token for the user that this client authenticates as by Kerberos (`ClientTokenUtil.obtainToken`).
    /// It proves that user to this cluster without Kerberos until it expires, and cannot be renewed.
    ///
    /// Cancel safe; a token that was made meanwhile expires by itself.
    ///
    /// # Errors
    /// [`Error`]: refused for good if the cluster has no security, does not load `TokenProvider`, or the client itself
    /// authenticates by a token.
    pub async fn delegation_token(&self) -> Result<Token, Error> {
        let mut attempts = Attempts::new(&self.inner().config);
        loop {
            match self.try_delegation_token(&attempts).await {
                Ok(token) => return Ok(token),
                Err(error) => attempts.failed(error).await?,
            }
        }
    }

    async fn try_delegation_token(&self, attempts: &Attempts) -> Result<Token, Error> {
        let inner = self.inner();
        let timeout = attempts.call_timeout();
        let server = inner.directory.meta_server(timeout).await?;
        let connection = inner.pool.get(&server, Service::Client).await?;
        let request = CoprocessorServiceRequest {
            region: region_specifier(&Bytes::from_static(META_REGION)),
            call: CoprocessorServiceCall {
                row: Bytes::new(),
                service_name: "AuthenticationService".to_owned(),
                method_name: "GetAuthenticationToken".to_owned(),
                request: Bytes::new(),
            },
        };
        let call = ("ExecService", "CoprocessorServiceResponse");
        let (answer, _): (CoprocessorServiceResponse, _) = connection.call(call, &request, timeout).await?;
        let answer: GetAuthenticationTokenResponse =
            decode("GetAuthenticationTokenResponse", answer.value.value.unwrap_or_default())?;
        let missing = |what| WireError::Message { what: "Token", reason: format!("it has no {what}") };
        let token = answer.token.ok_or_else(|| missing("content"))?;
        let identifier = token.identifier.ok_or_else(|| missing("identifier"))?;
        let password = token.password.ok_or_else(|| missing("password"))?;
        let cluster_id = String::from_utf8_lossy(&token.service.unwrap_or_default()).into_owned();
        Ok(Token::new(identifier, password, cluster_id))
    }
}
