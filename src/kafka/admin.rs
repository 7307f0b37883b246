//! Two questions that rust-rdkafka cannot ask: the ids of topics, and who is in a group.
//!
//! # Invariants
//! 1. Every object that librdkafka hands out has one owner here and is destroyed once, answers after what borrows from them.
//! 2. Nothing borrowed from an answer leaves the function that asked.
#![expect(unsafe_code, reason = "rust-rdkafka has neither question; every block states why it is sound")]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int};
use std::fmt;
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings::{
    RD_KAFKA_EVENT_ERROR, rd_kafka_AdminOptions_destroy, rd_kafka_AdminOptions_new,
    rd_kafka_AdminOptions_set_request_timeout, rd_kafka_AdminOptions_t, rd_kafka_ConsumerGroupDescription_error,
    rd_kafka_ConsumerGroupDescription_member, rd_kafka_ConsumerGroupDescription_member_count,
    rd_kafka_ConsumerGroupDescription_state, rd_kafka_ConsumerGroupDescription_t,
    rd_kafka_ConsumerGroupDescription_type, rd_kafka_DescribeConsumerGroups,
    rd_kafka_DescribeConsumerGroups_result_groups, rd_kafka_DescribeTopics, rd_kafka_DescribeTopics_result_topics,
    rd_kafka_MemberDescription_client_id, rd_kafka_MemberDescription_consumer_id,
    rd_kafka_MemberDescription_group_instance_id, rd_kafka_MemberDescription_host, rd_kafka_MemberDescription_t,
    rd_kafka_TopicCollection_destroy, rd_kafka_TopicCollection_of_topic_names, rd_kafka_TopicDescription_error,
    rd_kafka_TopicDescription_name, rd_kafka_TopicDescription_t, rd_kafka_TopicDescription_topic_id,
    rd_kafka_Uuid_least_significant_bits, rd_kafka_Uuid_most_significant_bits, rd_kafka_admin_op_t,
    rd_kafka_consumer_group_state_name, rd_kafka_consumer_group_type_t, rd_kafka_error_code, rd_kafka_error_t,
    rd_kafka_event_DescribeConsumerGroups_result, rd_kafka_event_DescribeTopics_result, rd_kafka_event_destroy,
    rd_kafka_event_error, rd_kafka_event_t, rd_kafka_event_type, rd_kafka_queue_destroy, rd_kafka_queue_new,
    rd_kafka_queue_poll, rd_kafka_queue_t, rd_kafka_resp_err_t, rd_kafka_t,
};
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use crate::progress::topic_id::TopicId;

/// A group as its coordinator sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// `Stable`, `Empty`, `Dead` (there is none), `PreparingRebalance`, ...
    pub state: String,
    /// Whether it uses KIP-848's protocol.
    pub is_consumer_protocol: bool,
    /// Who is in it.
    pub members: Vec<Member>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// `group.instance.id`, of a static member.
    pub instance_id: Option<String>,
    /// What its client calls itself.
    pub client_id: String,
    /// Where it connects from.
    pub host: String,
    /// The id that the coordinator knows it by.
    pub id: String,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.instance_id {
            Some(instance) => write!(f, "{instance} ({} at {})", self.client_id, self.host.trim_start_matches('/')),
            None => write!(f, "{} at {}", self.client_id, self.host.trim_start_matches('/')),
        }
    }
}

/// The ids of topics, by name. Topics that do not exist, and topics of brokers without ids (before 2.8), are left out.
///
/// # Errors
/// What librdkafka or a broker says. Blocks at most for `patience`.
pub fn topic_ids<C: ClientContext>(
    client: &Client<C>,
    topics: &[&str],
    patience: Duration,
) -> KafkaResult<BTreeMap<String, TopicId>> {
    let names = c_strings(topics)?;
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let answer =
        ask(client, rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, patience, |client, options, queue| {
            // SAFETY: the array and its strings live until librdkafka has copied them, which it does before it returns; the
            // collection is destroyed once, after its last use.
            unsafe {
                let collection = rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
                rd_kafka_DescribeTopics(client, collection, options, queue);
                rd_kafka_TopicCollection_destroy(collection);
            }
        })?;
    // SAFETY: the event is live; null is handled, and so is an event of another kind, for which librdkafka returns null.
    let Some(result) = NonNull::new(unsafe { rd_kafka_event_DescribeTopics_result(answer.0.as_ptr()) }.cast_mut())
    else {
        return Err(KafkaError::AdminOp(RDKafkaErrorCode::BadMessage));
    };
    let mut count = 0;
    // SAFETY: the result lives as long as the event.
    let described = unsafe { rd_kafka_DescribeTopics_result_topics(result.as_ptr(), &raw mut count) };
    let mut ids = BTreeMap::new();
    for at in 0..count {
        // SAFETY: librdkafka says that there are `count` of them; they live as long as the event.
        let (name, id) = unsafe { topic(*described.add(at)) }?;
        ids.extend(id.map(|id| (name, id)));
    }
    Ok(ids)
}

/// # Safety
/// The pointer must be a live description.
unsafe fn topic(description: *const rd_kafka_TopicDescription_t) -> KafkaResult<(String, Option<TopicId>)> {
    // SAFETY: by the caller's promise; the name and the error live as long as the description.
    let (name, error) = unsafe {
        (text(rd_kafka_TopicDescription_name(description)), code(rd_kafka_TopicDescription_error(description)))
    };
    match error {
        None => {}
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => return Ok((name, None)),
        Some(code) => return Err(KafkaError::AdminOp(code)),
    }
    // SAFETY: as above; null, should it ever be returned, is not read.
    let id = unsafe {
        let id = rd_kafka_TopicDescription_topic_id(description);
        if id.is_null() {
            None
        } else {
            TopicId::new(rd_kafka_Uuid_most_significant_bits(id), rd_kafka_Uuid_least_significant_bits(id))
        }
    };
    Ok((name, id))
}

/// A group and its members. A group that does not exist has none.
///
/// # Errors
/// What librdkafka or the coordinator says. Blocks at most for `patience`.
pub fn group<C: ClientContext>(client: &Client<C>, name: &str, patience: Duration) -> KafkaResult<Group> {
    let names = c_strings(&[name])?;
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let op = rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
    let answer = ask(client, op, patience, |client, options, queue| {
        // SAFETY: the array and its strings live until librdkafka has copied them, which it does before it returns.
        unsafe { rd_kafka_DescribeConsumerGroups(client, pointers.as_mut_ptr(), pointers.len(), options, queue) }
    })?;
    // SAFETY: the event is live; null is handled.
    let result = unsafe { rd_kafka_event_DescribeConsumerGroups_result(answer.0.as_ptr()) };
    let Some(result) = NonNull::new(result.cast_mut()) else {
        return Err(KafkaError::AdminOp(RDKafkaErrorCode::BadMessage));
    };
    let mut count = 0;
    // SAFETY: the result lives as long as the event; there is a first group if `count` says so.
    unsafe {
        let groups = rd_kafka_DescribeConsumerGroups_result_groups(result.as_ptr(), &raw mut count);
        if count == 0 { Ok(Group::default()) } else { described(*groups) }
    }
}

/// # Safety
/// The pointer must be a live description.
unsafe fn described(description: *const rd_kafka_ConsumerGroupDescription_t) -> KafkaResult<Group> {
    // SAFETY: by the caller's promise; members are asked for below their count, and live as long as the description.
    unsafe {
        match code(rd_kafka_ConsumerGroupDescription_error(description)) {
            None => {}
            Some(RDKafkaErrorCode::GroupIdNotFound) => return Ok(Group::default()),
            Some(code) => return Err(KafkaError::AdminOp(code)),
        }
        let state = rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupDescription_state(description));
        let kind = rd_kafka_ConsumerGroupDescription_type(description);
        let count = rd_kafka_ConsumerGroupDescription_member_count(description);
        Ok(Group {
            state: text(state),
            is_consumer_protocol: kind == rd_kafka_consumer_group_type_t::RD_KAFKA_CONSUMER_GROUP_TYPE_CONSUMER,
            members: (0..count).map(|at| member(rd_kafka_ConsumerGroupDescription_member(description, at))).collect(),
        })
    }
}

/// # Safety
/// The pointer must be a live description.
unsafe fn member(member: *const rd_kafka_MemberDescription_t) -> Member {
    // SAFETY: by the caller's promise; the texts live as long as the description, and null is handled.
    unsafe {
        let instance_id = text(rd_kafka_MemberDescription_group_instance_id(member));
        Member {
            instance_id: (!instance_id.is_empty()).then_some(instance_id),
            client_id: text(rd_kafka_MemberDescription_client_id(member)),
            host: text(rd_kafka_MemberDescription_host(member)),
            id: text(rd_kafka_MemberDescription_consumer_id(member)),
        }
    }
}

/// Sends one request and waits for its answer.
fn ask<C: ClientContext>(
    client: &Client<C>,
    op: rd_kafka_admin_op_t,
    patience: Duration,
    send: impl FnOnce(*mut rd_kafka_t, *const rd_kafka_AdminOptions_t, *mut rd_kafka_queue_t),
) -> KafkaResult<Answer> {
    let failed = |what: &str| KafkaError::AdminOpCreation(what.to_owned());
    let timeout_ms = c_int::try_from(patience.as_millis()).unwrap_or(c_int::MAX);
    let client = client.native_ptr();
    // SAFETY: the client lives for the whole call; both objects are owned by guards, and null is handled.
    let queue = Queue(NonNull::new(unsafe { rd_kafka_queue_new(client) }).ok_or_else(|| failed("no queue"))?);
    // SAFETY: as above.
    let options = unsafe { rd_kafka_AdminOptions_new(client, op) };
    let options = Options(NonNull::new(options).ok_or_else(|| failed("no options"))?);
    // SAFETY: the options are live; an error text is not asked for.
    unsafe { rd_kafka_AdminOptions_set_request_timeout(options.0.as_ptr(), timeout_ms, ptr::null_mut(), 0) };
    send(client, options.0.as_ptr(), queue.0.as_ptr());
    // One second more than the request may take: its own timeout has the better error.
    // SAFETY: the queue is live; the answer is owned by its guard.
    let answer = unsafe { rd_kafka_queue_poll(queue.0.as_ptr(), timeout_ms.saturating_add(1000)) };
    let answer = Answer(NonNull::new(answer).ok_or(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut))?);
    // SAFETY: the answer is live.
    let (kind, error) = unsafe { (rd_kafka_event_type(answer.0.as_ptr()), rd_kafka_event_error(answer.0.as_ptr())) };
    if error != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || kind == RD_KAFKA_EVENT_ERROR {
        return Err(KafkaError::AdminOp(error.into()));
    }
    Ok(answer)
}

fn c_strings(texts: &[&str]) -> KafkaResult<Vec<CString>> {
    texts.iter().map(|text| CString::new(*text).map_err(KafkaError::from)).collect()
}

/// # Safety
/// Null, or a C string that lives for the call.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: by the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// # Safety
/// Null, or an error that lives for the call.
unsafe fn code(error: *const rd_kafka_error_t) -> Option<RDKafkaErrorCode> {
    // SAFETY: by the caller's promise; null has no code.
    let code = if error.is_null() { return None } else { unsafe { rd_kafka_error_code(error) } };
    (code != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| code.into())
}

struct Queue(NonNull<rd_kafka_queue_t>);

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: made by `rd_kafka_queue_new`, destroyed once.
        unsafe { rd_kafka_queue_destroy(self.0.as_ptr()) };
    }
}

struct Options(NonNull<rd_kafka_AdminOptions_t>);

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: made by `rd_kafka_AdminOptions_new`, destroyed once.
        unsafe { rd_kafka_AdminOptions_destroy(self.0.as_ptr()) };
    }
}

struct Answer(NonNull<rd_kafka_event_t>);

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: taken from the queue, destroyed once.
        unsafe { rd_kafka_event_destroy(self.0.as_ptr()) };
    }
}
