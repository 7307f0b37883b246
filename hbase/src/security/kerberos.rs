//! Kerberos: the names of the servers, and whose ticket is shown.

use super::Protection;

/// What stands for the server's host in a principal (`SecurityUtil.HOSTNAME_PATTERN`).
const HOST: &str = "_HOST";

/// How to authenticate by Kerberos.
///
/// Tickets come from where the system's Kerberos library finds them: the credential cache (`KRB5CCNAME`), or a keytab
/// (`KRB5_CLIENT_KTNAME`), from which the library takes tickets by itself and renews them before they expire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kerberos {
    /// Principals of the servers, such as `hbase/_HOST@EXAMPLE.COM` (`hbase.regionserver.kerberos.principal`); `_HOST`
    /// stands for the host name of the server being dialled, as the registry and meta give it, in lower case.
    ///
    /// Several if masters and region servers have different ones: the server is asked which one is its own
    /// (HBASE-28321, 2.6 and later), and believed only if it names one of these. Where the server cannot say, they are
    /// tried in this order.
    pub servers: Vec<String>,
    /// Whose ticket is shown, such as `halcyon@EXAMPLE.COM`; `None` is the default of the cache or the first of the
    /// keytab.
    pub client: Option<String>,
    /// What protects the bytes after the authentication.
    pub protection: Protection,
}

impl Kerberos {
    /// With the default ticket and no protection but authentication.
    #[must_use]
    pub fn new(server: &str) -> Self {
        Self { servers: vec![server.to_owned()], client: None, protection: Protection::default() }
    }

    /// The principals that a server on this host may have, each once, in order.
    #[must_use]
    pub fn servers_on(&self, host: &str) -> Vec<String> {
        let host = host.to_ascii_lowercase();
        let mut principals = Vec::with_capacity(self.servers.len());
        for pattern in &self.servers {
            let principal = principal_on(pattern, &host);
            if !principals.contains(&principal) {
                principals.push(principal);
            }
        }
        principals
    }
}

/// Only the instance is replaced: `service/_HOST@REALM`.
fn principal_on(pattern: &str, host: &str) -> String {
    let Some((service, rest)) = pattern.split_once('/') else { return pattern.to_owned() };
    match rest.strip_prefix(HOST) {
        Some(realm) if realm.is_empty() || realm.starts_with('@') => format!("{service}/{host}{realm}"),
        _ => pattern.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_replaces_the_pattern_and_nothing_else() {
        let on = |pattern: &str| principal_on(pattern, "rs1.example.com");
        assert_eq!(on("hbase/_HOST@EXAMPLE.COM"), "hbase/rs1.example.com@EXAMPLE.COM");
        assert_eq!(on("hbase/_HOST"), "hbase/rs1.example.com");
        assert_eq!(on("hbase/_HOSTS@EXAMPLE.COM"), "hbase/_HOSTS@EXAMPLE.COM");
        assert_eq!(on("hbase/fixed@EXAMPLE.COM"), "hbase/fixed@EXAMPLE.COM");
        assert_eq!(on("_HOST@EXAMPLE.COM"), "_HOST@EXAMPLE.COM");
    }

    #[test]
    fn host_names_are_lower_case_and_equal_principals_stand_once() {
        let kerberos = Kerberos {
            servers: ["a/_HOST@R", "a/rs1@R", "b/_HOST@R"].map(str::to_owned).to_vec(),
            client: None,
            protection: Protection::Privacy,
        };
        assert_eq!(kerberos.servers_on("RS1"), ["a/rs1@R", "b/rs1@R"]);
    }
}
