//! The JSON Schema of topology files, for editors.

/// The schema, as `topology/schema.json` has it.
#[must_use]
pub const fn schema() -> &'static str {
    include_str!("../../topology/schema.json")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::topology::grammar;

    const SECTIONS: &[(&str, &[&str])] = &[
        ("root", grammar::ROOT),
        ("kafka", grammar::KAFKA),
        ("topic", grammar::TOPIC),
        ("payload_schema", grammar::PAYLOAD_SCHEMA),
        ("schema_registry", grammar::SCHEMA_REGISTRY),
        ("model", grammar::MODEL),
        ("projection", grammar::PROJECTION),
        ("salt_part", grammar::SALT_PART),
        ("hash_part", grammar::HASH_PART),
        ("column_part", grammar::COLUMN_PART),
        ("literal_part", grammar::LITERAL_PART),
        ("column_version", grammar::COLUMN_VERSION),
        ("coalesce_version", grammar::COALESCE_VERSION),
        ("time_version", grammar::TIME_VERSION),
        ("kafka_version", grammar::KAFKA_VERSION),
        ("delete", grammar::DELETE),
        ("column", grammar::COLUMN),
        ("item", grammar::ITEM),
        ("table", grammar::TABLE),
        ("family", grammar::FAMILY),
        ("cluster", grammar::CLUSTER),
        ("tls", grammar::TLS),
        ("kerberos", grammar::KERBEROS),
        ("zookeeper", grammar::ZOOKEEPER),
        ("registry", grammar::REGISTRY),
        ("dead_letter", grammar::DEAD_LETTER),
        ("budget", grammar::BUDGET),
    ];

    fn definitions() -> serde_json::Map<String, Value> {
        let schema: Value = serde_json::from_str(schema()).expect("the schema is JSON");
        schema["$defs"].as_object().expect("definitions").clone()
    }

    #[test]
    fn the_schema_has_exactly_the_keys_that_the_loader_reads() {
        let definitions = definitions();
        for (name, keys) in SECTIONS {
            let properties = definitions[*name]["properties"].as_object().expect("a section has keys");
            let mut expected: Vec<&str> = keys.to_vec();
            expected.sort_unstable();
            let mut found: Vec<&str> = properties.keys().map(String::as_str).collect();
            found.sort_unstable();
            assert_eq!(found, expected, "{name}");
            assert_eq!(definitions[*name]["additionalProperties"], Value::Bool(false), "{name}");
        }
        let sections = definitions.values().filter(|one| one.get("properties").is_some()).count();
        assert_eq!(sections, SECTIONS.len(), "every section of the schema is one of the loader's");
    }

    #[test]
    fn the_schema_has_exactly_the_values_that_the_loader_reads() {
        fn names<T>(choices: &[(&'static str, T)]) -> Vec<&'static str> {
            choices.iter().map(|(name, _)| *name).collect()
        }
        let definitions = definitions();
        let values = |section: &str, key: &str| -> Vec<String> {
            let choices = definitions[section]["properties"][key]["enum"].as_array().expect("choices");
            choices.iter().map(|choice| choice.as_str().unwrap_or_default().to_owned()).collect()
        };
        assert_eq!(values("kafka", "group_protocol"), names(grammar::GROUP_PROTOCOLS));
        assert_eq!(values("topic", "format"), names(grammar::FORMATS));
        assert_eq!(values("topic", "key_format"), names(grammar::FORMATS));
        assert_eq!(values("topic", "envelope"), names(grammar::ENVELOPES));
        assert_eq!(values("topic", "null_payload"), names(grammar::NULL_PAYLOADS));
        assert_eq!(values("column_part", "order"), names(grammar::ORDERS));
        assert_eq!(values("delete", "as"), names(grammar::DELETE_MODES));
        assert_eq!(values("column", "unfit"), names(grammar::UNFITS));
        assert_eq!(values("family", "compression"), names(grammar::COMPRESSIONS));
        assert_eq!(values("family", "bloom"), names(grammar::BLOOMS));
        assert_eq!(values("cluster", "durability"), names(grammar::DURABILITIES));
        assert_eq!(values("kerberos", "protection"), names(grammar::PROTECTIONS));
        assert_eq!(values("cluster", "compacted"), names(grammar::COMPACTED));
        let types: Vec<&str> =
            definitions["type"]["enum"].as_array().expect("choices").iter().filter_map(Value::as_str).collect();
        assert_eq!(types, names(grammar::TYPES));
        let all: Vec<&str> = crate::model::field::FieldType::ALL.into_iter().map(|one| one.name()).collect();
        assert_eq!(types, all);
    }

    #[test]
    fn every_key_and_value_stands_in_the_readme() {
        let readme = include_str!("../../topology/README.md");
        for key in SECTIONS.iter().flat_map(|(_, keys)| *keys) {
            assert!(readme.contains(&format!("`{key}`")), "`{key}` is not explained");
        }
        let formats = grammar::FORMATS.iter().map(|(name, _)| *name);
        let envelopes = grammar::ENVELOPES.iter().map(|(name, _)| *name);
        let nulls = grammar::NULL_PAYLOADS.iter().map(|(name, _)| *name);
        for value in grammar::TYPES.iter().map(|(name, _)| *name) {
            assert!(readme.contains(&format!("`{value}`")), "`{value}` is not explained");
        }
        for value in formats.chain(envelopes).chain(nulls) {
            assert!(readme.contains(&format!("`\"{value}\"`")), "\"{value}\" is not explained");
        }
    }

    #[test]
    fn references_of_the_schema_lead_somewhere() {
        fn walk(value: &Value, definitions: &serde_json::Map<String, Value>) {
            match value {
                Value::Object(object) => {
                    if let Some(Value::String(reference)) = object.get("$ref") {
                        let name = reference.strip_prefix("#/$defs/").expect("a reference within the file");
                        assert!(definitions.contains_key(name), "{reference}");
                    }
                    object.values().for_each(|value| walk(value, definitions));
                }
                Value::Array(array) => array.iter().for_each(|value| walk(value, definitions)),
                _ => {}
            }
        }
        let definitions = definitions();
        definitions.values().for_each(|value| walk(value, &definitions));
    }
}
