//! What a type accepts, made once from its JSON schema.
//!
//! The schema is the only description of a document: the walk, the custom resources and the documentation all come from it.
//! Beside JSON schema it speaks of `x-items-format`, `x-keys-format` and `x-values-format` (a format of what is inside),
//! `x-exactly-one` (of these fields) and `x-secret-reference` (what stands here may be a secret by mistake).

use schemars::JsonSchema;
use serde_json::{Map, Value};

/// What is accepted at one place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    /// Anything.
    Any,
    /// `true` or `false`.
    Boolean,
    /// A whole number between two bounds.
    Integer {
        /// The smallest.
        least: u64,
        /// The largest.
        most: u64,
    },
    /// Any number of items.
    List {
        /// What each is.
        items: Box<Self>,
        /// How many.
        count: Bounds,
    },
    /// Any fields, each of the same shape.
    Map {
        /// What each holds.
        values: Box<Self>,
        /// The format of their names.
        keys: Option<String>,
    },
    /// Named fields.
    Object(Object),
    /// Text.
    Text {
        /// Its format.
        format: Option<String>,
        /// How long it may be, in characters.
        length: Bounds,
    },
    /// One of these words.
    Word(Vec<String>),
}

/// How many.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Bounds {
    /// At least.
    pub least: u64,
    /// At most.
    pub most: u64,
}

impl Bounds {
    /// Whether so many are accepted.
    pub(crate) const fn hold(self, count: usize) -> bool {
        self.least <= count as u64 && count as u64 <= self.most
    }
}

/// Named fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Object {
    /// The fields, in the order of the type.
    pub fields: Vec<Field>,
    /// Fields of which exactly one must be there.
    pub exactly_one: Vec<String>,
    /// Whether it says where a secret stands: whatever else is found here may be the secret itself.
    pub secret_reference: bool,
}

/// One named field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub shape: Shape,
    /// Whether it must be there.
    pub required: bool,
}

impl Object {
    /// The field of that name.
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The names of all fields.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.name.as_str())
    }
}

/// The shape of a type.
pub(crate) fn shape_of<T: JsonSchema>() -> Shape {
    let schema: Value = schemars::schema_for!(T).into();
    let definitions = schema.get("$defs").cloned().unwrap_or_default();
    Reading { definitions: &definitions }.shape(&schema)
}

struct Reading<'a> {
    definitions: &'a Value,
}

impl Reading<'_> {
    fn shape(&self, schema: &Value) -> Shape {
        let Some(schema) = schema.as_object() else { return Shape::Any };
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let name = target.strip_prefix("#/$defs/").unwrap_or(target);
            let shape = self.definitions.get(name).map_or(Shape::Any, |definition| self.shape(definition));
            return with_format(shape, text(schema, "format"));
        }
        if let Some(words) = words(schema) {
            return Shape::Word(words);
        }
        if let Some(choice) = self.optional(schema) {
            return choice;
        }
        match kind(schema) {
            Some("array") => self.list(schema),
            Some("boolean") => Shape::Boolean,
            Some("integer") => integer(schema),
            Some("object") => self.object(schema),
            Some("string") => Shape::Text { format: text(schema, "format"), length: bounds(schema, "Length") },
            _ => Shape::Any,
        }
    }

    /// `anyOf` a shape and nothing: the field is optional.
    fn optional(&self, schema: &Map<String, Value>) -> Option<Shape> {
        let choices = schema.get("anyOf")?.as_array()?;
        let full = choices.iter().find(|choice| choice.get("type").and_then(Value::as_str) != Some("null"))?;
        Some(self.shape(full))
    }

    fn list(&self, schema: &Map<String, Value>) -> Shape {
        let items = schema.get("items").map_or(Shape::Any, |items| self.shape(items));
        let items = Box::new(with_format(items, text(schema, "x-items-format")));
        Shape::List { items, count: bounds(schema, "Items") }
    }

    fn object(&self, schema: &Map<String, Value>) -> Shape {
        if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
            let values = Box::new(with_format(self.shape(values), text(schema, "x-values-format")));
            return Shape::Map { values, keys: text(schema, "x-keys-format") };
        }
        let required = texts(schema.get("required"));
        let field = |(name, schema): (&String, &Value)| Field {
            name: name.clone(),
            shape: self.shape(schema),
            required: required.contains(name),
        };
        let properties = schema.get("properties").and_then(Value::as_object);
        Shape::Object(Object {
            fields: properties.into_iter().flatten().map(field).collect(),
            exactly_one: texts(schema.get("x-exactly-one")),
            secret_reference: schema.get("x-secret-reference") == Some(&Value::Bool(true)),
        })
    }
}

/// The words of an enumeration: `enum`, or `oneOf` with a `const` each.
fn words(schema: &Map<String, Value>) -> Option<Vec<String>> {
    if let Some(listed) = schema.get("enum") {
        return Some(texts(Some(listed)));
    }
    let choices = schema.get("oneOf")?.as_array()?;
    let word = |choice: &Value| match choice.get("const") {
        Some(word) => texts(Some(&Value::Array(vec![word.clone()]))),
        None => texts(choice.get("enum")),
    };
    Some(choices.iter().flat_map(word).collect())
}

fn kind(schema: &Map<String, Value>) -> Option<&str> {
    match schema.get("type")? {
        Value::String(kind) => Some(kind),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        _ => None,
    }
}

fn integer(schema: &Map<String, Value>) -> Shape {
    let bound = |name| schema.get(name).and_then(Value::as_u64);
    let widest = match schema.get("format").and_then(Value::as_str) {
        Some("uint8") => u64::from(u8::MAX),
        Some("uint16") => u64::from(u16::MAX),
        Some("uint32") => u64::from(u32::MAX),
        _ => u64::MAX,
    };
    Shape::Integer { least: bound("minimum").unwrap_or(0), most: bound("maximum").unwrap_or(widest) }
}

fn bounds(schema: &Map<String, Value>, of: &str) -> Bounds {
    let bound = |side: &str| schema.get(&format!("{side}{of}")).and_then(Value::as_u64);
    Bounds { least: bound("min").unwrap_or(0), most: bound("max").unwrap_or(u64::MAX) }
}

fn with_format(shape: Shape, inner: Option<String>) -> Shape {
    match (shape, inner) {
        (Shape::Text { length, .. }, Some(format)) => Shape::Text { format: Some(format), length },
        (shape, _) => shape,
    }
}

fn text(schema: &Map<String, Value>, name: &str) -> Option<String> {
    schema.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn texts(list: Option<&Value>) -> Vec<String> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        certificate::TlsCertificateSpec, environment::EnvironmentSpec, hostname::CustomHostnameSpec, key::KmsKeySpec,
        settings::Settings,
    };

    #[test]
    fn no_field_of_any_document_is_left_without_a_shape() {
        for shape in [
            shape_of::<EnvironmentSpec>(),
            shape_of::<KmsKeySpec>(),
            shape_of::<TlsCertificateSpec>(),
            shape_of::<CustomHostnameSpec>(),
            shape_of::<Settings>(),
        ] {
            assert!(!format!("{shape:?}").contains("Any"), "{shape:#?}");
        }
    }

    #[test]
    fn a_reference_to_a_secret_is_known_as_one() {
        let Shape::Object(object) = shape_of::<crate::environment::SecretReference>() else { panic!("an object") };
        assert!(object.secret_reference);
        assert_eq!(object.exactly_one, ["file", "secret"]);
    }
}
