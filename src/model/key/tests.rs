use proptest::prelude::*;

use super::*;

fn column(field: &str, data_type: FieldType, extent: Extent, order: Order) -> KeyPart {
    KeyPart::Column(KeyColumn { field: field.into(), data_type, extent, order, direction: Direction::Forward })
}

fn encode(key: &RowKey, values: &[KeyValue]) -> Result<Vec<u8>, KeyError> {
    let mut bytes = Vec::new();
    let fields: Vec<&str> = key.fields().map(|(field, _)| field).collect();
    let mut distinct = fields.clone();
    distinct.sort_unstable();
    distinct.dedup();
    for part in &key.parts {
        let value = match part.field() {
            None => Value::Bool(false),
            Some((path, _)) => {
                values[distinct.iter().position(|field| *field == path).expect("a field of the key")].value()
            }
        };
        part.encode(value, &mut bytes)?;
    }
    Ok(bytes)
}

/// The chat key: fields in alphabetical order are message_id, room_id.
fn chat() -> RowKey {
    RowKey {
        parts: vec![
            KeyPart::Salt { field: "room_id".into(), data_type: FieldType::U64, buckets: 16 },
            column("room_id", FieldType::U64, Extent::Fixed, Order::Ascending),
            column("message_id", FieldType::U64, Extent::Fixed, Order::Descending),
        ],
    }
}

#[test]
fn the_chat_key_is_salt_room_and_inverted_message() {
    let key = encode(&chat(), &[KeyValue::U64(1), KeyValue::U64(0)]).unwrap();
    let expected = [&[0x0e_u8][..], &[0; 8], &[255, 255, 255, 255, 255, 255, 255, 254]].concat();
    assert_eq!(key, expected);
    let fields = chat().decode(&key).map(|fields| fields.into_iter().map(|(_, value)| value).collect::<Vec<_>>());
    assert_eq!(fields, Ok(vec![KeyValue::U64(0), KeyValue::U64(1)]));
}

#[test]
fn foreign_keys_are_refused() {
    let mut key = encode(&chat(), &[KeyValue::U64(1), KeyValue::U64(0)]).unwrap();
    for length in 0..key.len() {
        assert!(matches!(chat().decode(&key[..length]), Err(KeyError::Truncated { .. })), "{length}");
    }
    key.push(0);
    assert_eq!(chat().decode(&key), Err(KeyError::Trailing { bytes: 1 }));
    key.pop();
    key[0] ^= 1;
    assert_eq!(chat().decode(&key), Err(KeyError::Foreign { part: 0 }));
}

#[test]
fn texts_that_would_not_decode_are_refused() {
    let padded = RowKey { parts: vec![column("a", FieldType::Utf8, Extent::Padded(3), Order::Ascending)] };
    let text = |text: &str| vec![KeyValue::Text(text.into())];
    assert_eq!(encode(&padded, &text("abcd")), Err(KeyError::TooLong { bytes: 4, width: 3 }));
    assert_eq!(encode(&padded, &text("a\0")), Err(KeyError::EndsWithPadding));
    assert_eq!(encode(&padded, &text("a")), Ok(b"a\0\0".to_vec()));
    let delimited = RowKey { parts: vec![column("a", FieldType::Utf8, Extent::Delimited(b'|'), Order::Ascending)] };
    assert_eq!(encode(&delimited, &text("a|b")), Err(KeyError::ContainsDelimiter { delimiter: b'|' }));
    assert_eq!(encode(&delimited, &text("ab")), Ok(b"ab|".to_vec()));
    let number = vec![KeyValue::U64(1)];
    assert_eq!(encode(&padded, &number), Err(KeyError::WrongType { expected: FieldType::Utf8 }));
}

#[test]
fn a_reversed_text_decodes_whatever_its_ends_are() {
    for extent in [Extent::Padded(4), Extent::Delimited(0), Extent::Rest] {
        let part = KeyColumn {
            field: "a".into(),
            data_type: FieldType::Utf8,
            extent,
            order: Order::Ascending,
            direction: Direction::Reverse,
        };
        let key = RowKey { parts: vec![KeyPart::Column(part)] };
        for text in ["", "abé", "ab"] {
            let bytes = encode(&key, &[KeyValue::Text(text.into())]).unwrap();
            assert_eq!(key.decode(&bytes), Ok(vec![("a", KeyValue::Text(text.into()))]), "{extent:?}");
        }
        let first_zero = encode(&key, &[KeyValue::Text("\0a".into())]);
        if let Ok(bytes) = first_zero {
            assert_eq!(key.decode(&bytes), Ok(vec![("a", KeyValue::Text("\0a".into()))]));
        }
    }
}

/// One part of every kind, with values of that kind.
fn part_and_values() -> impl Strategy<Value = (KeyPart, KeyValue, KeyValue)> {
    let order = prop_oneof![Just(Order::Ascending), Just(Order::Descending)];
    let ends = prop_oneof![Just(Extent::Padded(9)), Just(Extent::Delimited(0))];
    let text = || "[a-c\u{1}é]{0,4}";
    let bytes = || proptest::collection::vec(1..=255_u8, 0..5);
    (order, ends).prop_flat_map(move |(order, ends)| {
        let fixed = move |data_type| column("f", data_type, Extent::Fixed, order);
        let variable = move |data_type| column("f", data_type, ends, order);
        prop_oneof![
            (any::<u64>(), any::<u64>()).prop_map(move |(a, b)| (
                fixed(FieldType::U64),
                KeyValue::U64(a),
                KeyValue::U64(b)
            )),
            (any::<i64>(), any::<i64>()).prop_map(move |(a, b)| (
                fixed(FieldType::I64),
                KeyValue::I64(a),
                KeyValue::I64(b)
            )),
            (any::<u32>(), any::<u32>()).prop_map(move |(a, b)| (
                fixed(FieldType::U32),
                KeyValue::U32(a),
                KeyValue::U32(b)
            )),
            (any::<i32>(), any::<i32>()).prop_map(move |(a, b)| (
                fixed(FieldType::I32),
                KeyValue::I32(a),
                KeyValue::I32(b)
            )),
            (any::<bool>(), any::<bool>()).prop_map(move |(a, b)| (
                fixed(FieldType::Bool),
                KeyValue::Bool(a),
                KeyValue::Bool(b)
            )),
            (text(), text()).prop_map(move |(a, b)| (variable(FieldType::Utf8), KeyValue::Text(a), KeyValue::Text(b))),
            (bytes(), bytes()).prop_map(move |(a, b)| (
                variable(FieldType::Bytes),
                KeyValue::Bytes(a),
                KeyValue::Bytes(b)
            )),
        ]
    })
}

fn compare(a: &KeyValue, b: &KeyValue) -> std::cmp::Ordering {
    match (a, b) {
        (KeyValue::U64(a), KeyValue::U64(b)) => a.cmp(b),
        (KeyValue::I64(a), KeyValue::I64(b)) => a.cmp(b),
        (KeyValue::U32(a), KeyValue::U32(b)) => a.cmp(b),
        (KeyValue::I32(a), KeyValue::I32(b)) => a.cmp(b),
        (KeyValue::Bool(a), KeyValue::Bool(b)) => a.cmp(b),
        (KeyValue::Text(a), KeyValue::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (KeyValue::Bytes(a), KeyValue::Bytes(b)) => a.cmp(b),
        _ => unreachable!("both are of one type"),
    }
}

proptest! {
    #[test]
    fn the_order_of_keys_is_the_order_of_their_tuples(parts in proptest::collection::vec(part_and_values(), 1..5)) {
        let mut keys = (Vec::new(), Vec::new());
        let mut expected = std::cmp::Ordering::Equal;
        for (part, a, b) in &parts {
            part.encode(a.value(), &mut keys.0).unwrap();
            part.encode(b.value(), &mut keys.1).unwrap();
            let KeyPart::Column(column) = part else { unreachable!("only columns are made") };
            let order = compare(a, b);
            expected = expected.then(if column.order == Order::Descending { order.reverse() } else { order });
        }
        prop_assert_eq!(keys.0.cmp(&keys.1), expected);
    }

    #[test]
    fn a_key_decodes_to_what_it_was_made_of(parts in proptest::collection::vec(part_and_values(), 1..5)) {
        let mut bytes = Vec::new();
        for (part, value, _) in &parts {
            part.encode(value.value(), &mut bytes).unwrap();
        }
        let key = RowKey { parts: parts.iter().map(|(part, ..)| part.clone()).collect() };
        let expected: Vec<(&str, KeyValue)> = parts.iter().map(|(_, value, _)| ("f", value.clone())).collect();
        prop_assert_eq!(key.decode(&bytes), Ok(expected));
    }

    #[test]
    fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40), parts in proptest::collection::vec(part_and_values(), 1..4)) {
        let key = RowKey { parts: parts.into_iter().map(|(part, ..)| part).collect() };
        let _ = key.decode(&bytes);
        let _ = chat().decode(&bytes);
    }
}
