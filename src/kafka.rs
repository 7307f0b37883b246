//! librdkafka's configuration from a topology: what the operator sets, and what halcyon must own.

pub mod admin;
pub mod events;
pub mod journal;
pub mod token;
pub mod trouble;

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use self::events::Events;
use self::trouble::Trouble;
use crate::topology::setting::SettingError;
use crate::topology::{GroupProtocol, Kafka};

/// What a client is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role<'a> {
    /// Member of the group that shares the partitions.
    Group {
        /// Group id.
        group: &'a str,
        /// `group.instance.id`, for static membership.
        instance_id: Option<&'a str>,
    },
    /// Reader and writer of the offsets of a group without members; also asks for metadata.
    Offsets {
        /// Group id.
        group: &'a str,
    },
    /// Writer of dead letters.
    Producer,
}

/// A property whose value cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("resolve the kafka property {property}")]
pub struct ConfigError {
    property: String,
    #[source]
    source: SettingError,
}

/// The process's name toward brokers.
const CLIENT_ID: &str = "halcyon";
/// librdkafka's default of a second makes throughput stutter when a queue was full.
const FETCH_BACKOFF: Duration = Duration::from_millis(10);
/// How long a broker may hold a fetch back for more bytes: the latency that a quiet topic adds.
const FETCH_WAIT: Duration = Duration::from_millis(50);
/// How often the ends of the logs are learned.
const STATISTICS: Duration = Duration::from_secs(2);

/// The configuration of a client. The operator's properties come first, so what correctness rests on wins.
///
/// # Errors
/// [`ConfigError`]; no value of a secret is in it.
pub fn client_config(kafka: &Kafka, role: &Role<'_>) -> Result<ClientConfig, ConfigError> {
    let mut config = ClientConfig::new();
    config.set("client.id", CLIENT_ID);
    config.set("socket.keepalive.enable", "true");
    match role {
        Role::Group { .. } => {
            if kafka.group_protocol == GroupProtocol::Classic {
                config.set("partition.assignment.strategy", "cooperative-sticky");
            }
            config.set("fetch.queue.backoff.ms", millis(FETCH_BACKOFF));
            config.set("fetch.wait.max.ms", millis(FETCH_WAIT));
            config.set("isolation.level", "read_committed");
        }
        Role::Offsets { .. } => {}
        Role::Producer => {
            config.set("linger.ms", "5");
            config.set("compression.type", "lz4");
        }
    }
    for (property, setting) in &kafka.properties {
        let value = setting.resolve().map_err(|source| ConfigError { property: property.clone(), source })?;
        config.set(property, value);
    }
    config.set("bootstrap.servers", kafka.brokers.join(","));
    match role {
        Role::Group { group, instance_id } => {
            own_consumer(&mut config, group);
            config.set("group.protocol", kafka.group_protocol.name());
            config.set("statistics.interval.ms", millis(STATISTICS));
            if let Some(instance_id) = instance_id {
                config.set("group.instance.id", *instance_id);
            }
        }
        Role::Offsets { group } => own_consumer(&mut config, group),
        Role::Producer => {
            config.set("acks", "all");
            config.set("enable.idempotence", "true");
        }
    }
    Ok(config)
}

/// Offsets are committed from the ledger and nowhere else; a lost range is never jumped over; end-of-partition entries
/// would move the position past records (librdkafka#4844).
fn own_consumer(config: &mut ClientConfig, group: &str) {
    config.set("group.id", group);
    config.set("enable.auto.commit", "false");
    config.set("enable.auto.offset.store", "false");
    config.set("auto.offset.reset", "error");
    config.set("enable.partition.eof", "false");
}

/// How long the probe's errors are listened to.
const PROBE_WAIT: Duration = Duration::from_millis(50);

/// Whether a certificate that did not verify is for another host, or not trusted at all. OpenSSL tells librdkafka, but
/// librdkafka does not tell us: one more handshake without the check of the name does. No credential is sent by it.
#[must_use]
pub fn certificate_trouble(kafka: &Kafka, patience: Duration) -> Trouble {
    let probe = || {
        let config = client_config(kafka, &Role::Producer).ok()?;
        let mut bare = ClientConfig::new();
        for (name, value) in config.config_map() {
            if name.starts_with("ssl.") || name == "bootstrap.servers" {
                bare.set(name, value);
            }
        }
        bare.set("security.protocol", "ssl").set("ssl.endpoint.identification.algorithm", "none");
        let consumer: BaseConsumer<Events> = bare.create_with_context(Events::new(kafka)).ok()?;
        // A broker that wants SASL closes the connection after the handshake, which has told us what we want to know.
        let answered = consumer.fetch_metadata(None, patience).is_ok();
        let deadline = Instant::now() + PROBE_WAIT;
        while consumer.poll(deadline.saturating_duration_since(Instant::now())).is_some() {}
        Some(answered || consumer.context().trouble() != Some(Trouble::Certificate))
    };
    if probe() == Some(true) { Trouble::HostName } else { Trouble::Certificate }
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Setting;

    fn kafka(properties: &[(&str, Setting)]) -> Kafka {
        let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let brokers = vec!["a:1".to_owned(), "b:2".to_owned()];
        Kafka { brokers, properties, group_protocol: GroupProtocol::Classic, oauth_token: None }
    }

    #[test]
    fn the_group_protocol_of_kip_848_leaves_assignment_to_the_broker() {
        let role = Role::Group { group: "chat", instance_id: Some("one") };
        let classic = client_config(&kafka(&[]), &role).expect("legal");
        assert_eq!(classic.get("partition.assignment.strategy"), Some("cooperative-sticky"));
        assert_eq!(classic.get("group.protocol"), Some("classic"));
        let new = Kafka { group_protocol: GroupProtocol::Consumer, ..kafka(&[]) };
        let new = client_config(&new, &role).expect("legal");
        assert_eq!((new.get("partition.assignment.strategy"), new.get("group.protocol")), (None, Some("consumer")));
        assert_eq!(new.get("group.instance.id"), Some("one"));
    }

    #[test]
    fn what_correctness_rests_on_wins_over_the_operator() {
        let kafka = kafka(&[
            ("enable.auto.commit", Setting::Plain("true".to_owned())),
            ("fetch.wait.max.ms", Setting::Plain("7".to_owned())),
        ]);
        let config = client_config(&kafka, &Role::Group { group: "chat", instance_id: Some("one") }).expect("legal");
        assert_eq!(config.get("enable.auto.commit"), Some("false"));
        assert_eq!(config.get("auto.offset.reset"), Some("error"));
        assert_eq!(config.get("fetch.wait.max.ms"), Some("7"));
        assert_eq!(config.get("group.instance.id"), Some("one"));
        assert_eq!(config.get("bootstrap.servers"), Some("a:1,b:2"));
    }

    #[test]
    fn a_secret_that_is_not_there_is_named_by_its_place() {
        let kafka = kafka(&[("sasl.password", Setting::Env("HALCYON_NO_SUCH_VARIABLE".to_owned()))]);
        let error = client_config(&kafka, &Role::Producer).expect_err("no such variable");
        assert_eq!(error.to_string(), "resolve the kafka property sasl.password");
        assert!(error.source.to_string().contains("HALCYON_NO_SUCH_VARIABLE"));
    }
}
