//! Messages and repeated fields as JSON: names as in the `.proto` file, 64-bit integers as numbers, enums by name, bytes as
//! base64, times as RFC 3339, wrappers as what they wrap. Fields that are absent are left out.

use super::descriptors::{Descriptors, EnumId, Field, Kind, MessageId, Scalar};
use super::plain::{Plain, rfc3339, time, wrapped};
use super::wire::{Broken, DEPTH_MAX, Fields, Wire};
use crate::decode::text::quote;

/// Appends the JSON of a message.
fn message(all: &Descriptors, id: MessageId, bytes: &[u8], out: &mut String, depth: usize) -> Result<(), Broken> {
    if depth > DEPTH_MAX {
        return Err("its messages nest too deeply");
    }
    let message = all.get(id);
    if message.is_timestamp() {
        let text = rfc3339(time(bytes)?).ok_or("it has a time out of range")?;
        quote(&text, out);
        return Ok(());
    }
    if let Some(scalar) = message.wrapped() {
        return wrapped(scalar, bytes)?.json(out);
    }
    let mut found: Vec<(usize, Wire<'_>)> = Vec::new();
    let mut fields = Fields::new(bytes);
    while let Some((number, wire)) = fields.next()? {
        let at = message.fields.iter().position(|field| field.number == number && field.kind != Kind::Unknown);
        found.extend(at.map(|at| (at, wire)));
    }
    // Stable: occurrences of one field stay in their order.
    found.sort_by_key(|(at, _)| *at);
    out.push('{');
    let mut first = true;
    for occurrences in found.chunk_by(|(a, _), (b, _)| a == b) {
        let Some(field) = occurrences.first().and_then(|(at, _)| message.fields.get(*at)) else { continue };
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        quote(&field.name, out);
        out.push(':');
        let wires: Vec<Wire<'_>> = occurrences.iter().map(|(_, wire)| *wire).collect();
        self::field(all, field, &wires, out, depth + 1)?;
    }
    out.push('}');
    Ok(())
}

/// Appends the JSON of all occurrences of a field; of a field that is not repeated, the last one counts.
pub(super) fn field(
    all: &Descriptors,
    field: &Field,
    occurrences: &[Wire<'_>],
    out: &mut String,
    depth: usize,
) -> Result<(), Broken> {
    if !field.is_repeated {
        return match occurrences.last() {
            Some(wire) => value(all, field.kind, *wire, out, depth),
            None => Ok(()),
        };
    }
    if let Kind::Message(id) = field.kind
        && all.get(id).is_map_entry
    {
        return map(all, id, occurrences, out, depth);
    }
    out.push('[');
    let mut first = true;
    for wire in occurrences {
        match field.kind {
            Kind::Scalar(scalar) => scalar.read_all(*wire, |plain| {
                comma(&mut first, out);
                plain.json(out)
            })?,
            Kind::Enum(id) => Scalar::Int32.read_all(*wire, |plain| {
                comma(&mut first, out);
                symbol(all, id, plain, out)
            })?,
            Kind::Message(_) | Kind::Unknown => {
                comma(&mut first, out);
                value(all, field.kind, *wire, out, depth)?;
            }
        }
    }
    out.push(']');
    Ok(())
}

fn comma(first: &mut bool, out: &mut String) {
    if !std::mem::take(first) {
        out.push(',');
    }
}

fn value(all: &Descriptors, kind: Kind, wire: Wire<'_>, out: &mut String, depth: usize) -> Result<(), Broken> {
    match (kind, wire) {
        (Kind::Scalar(scalar), _) => scalar.read(wire)?.json(out),
        (Kind::Enum(id), _) => symbol(all, id, Scalar::Int32.read(wire)?, out),
        (Kind::Message(id), Wire::Bytes(bytes)) => message(all, id, bytes, out, depth),
        _ => Err("it has a field of another wire type than its schema says"),
    }
}

fn symbol(all: &Descriptors, id: EnumId, plain: Plain<'_>, out: &mut String) -> Result<(), Broken> {
    let Plain::Signed(number) = plain else { return Ok(()) };
    match i32::try_from(number).ok().and_then(|number| all.symbol(id, number)) {
        Some(name) => {
            quote(name, out);
            Ok(())
        }
        None => plain.json(out),
    }
}

fn map(
    all: &Descriptors,
    entry: MessageId,
    occurrences: &[Wire<'_>],
    out: &mut String,
    depth: usize,
) -> Result<(), Broken> {
    let parts = |number| all.get(entry).fields.iter().find(move |field| field.number == number);
    let (Some(key_field), Some(value_field)) = (parts(1), parts(2)) else { return Err("its map has no key or value") };
    out.push('{');
    let mut first = true;
    for wire in occurrences {
        let Wire::Bytes(bytes) = wire else { return Err("it has a map that is none") };
        let (mut key, mut found) = (String::new(), None);
        let mut fields = Fields::new(bytes);
        while let Some((number, wire)) = fields.next()? {
            match number {
                1 => {
                    key.clear();
                    value(all, key_field.kind, wire, &mut key, depth)?;
                }
                2 => found = Some(wire),
                _ => {}
            }
        }
        comma(&mut first, out);
        // JSON's names are texts, and a key that is left out is the default of its type.
        if key.is_empty() {
            match key_field.kind {
                Kind::Scalar(Scalar::Text) => {}
                Kind::Scalar(scalar) => scalar.default().json(&mut key)?,
                Kind::Enum(_) | Kind::Message(_) | Kind::Unknown => {}
            }
        }
        if key.starts_with('"') {
            out.push_str(&key);
        } else {
            quote(&key, out);
        }
        out.push(':');
        match (found, value_field.kind) {
            (Some(wire), kind) => value(all, kind, wire, out, depth)?,
            (None, Kind::Scalar(scalar)) => scalar.default().json(out)?,
            (None, Kind::Enum(id)) => symbol(all, id, Plain::Signed(0), out)?,
            (None, Kind::Message(id)) => message(all, id, &[], out, depth)?,
            (None, Kind::Unknown) => out.push_str("null"),
        }
    }
    out.push('}');
    Ok(())
}
