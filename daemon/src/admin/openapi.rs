//! The OpenAPI document, made from the table of routes and the schemas of what is read and answered.

use axum::http::{Method, StatusCode};
use claviger_config::admin::ErrorView;
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{call::Parameter, route::Route};

/// The document about these routes.
pub(super) fn document(routes: &[Route]) -> Value {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = SchemaGenerator::new(settings);
    let mut paths = Map::new();
    for route in routes {
        let method = route.method.as_str().to_ascii_lowercase();
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[method] = operation(route, &mut generator);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "claviger admin API",
            "version": crate::VERSION,
            "description": "HTTP/JSON on the unix socket of the setting `admin.listen`, in a cluster also by a port-forward to \
                `admin.portForward`. Reads, or writes an ask into a record; the next pass acts. Every refusal is an `Error` with a stable code.",
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "paths": paths,
        "components": { "schemas": generator.take_definitions(true) },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.says,
        "x-claviger-verb": route.verb,
    });
    let parts = parts(route.path)
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    let parameters: Vec<Value> = parts.chain(route.query.iter().map(parameter)).collect();
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(shape) = route.takes {
        operation["requestBody"] = json!({ "required": true, "content": content(&shape(generator).to_value()) });
    }
    operation["responses"] = responses(route, generator);
    operation
}

/// The parts of a path that stand in braces.
pub(super) fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn parameter(parameter: &Parameter) -> Value {
    let schema = match parameter.number {
        Some((least, most)) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        None => json!({ "type": "string" }),
    };
    json!({ "name": parameter.name, "in": "query", "description": parameter.says, "schema": schema })
}

fn responses(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    for gives in route.gives {
        let mut response = json!({ "description": gives.says });
        if let Some(shape) = gives.body {
            response["content"] = content(&shape(generator).to_value());
        }
        responses.insert(gives.status.to_string(), response);
    }
    let error = generator.subschema_for::<ErrorView>().to_value();
    for status in refusals(route) {
        let description = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        let mut response = json!({ "description": description.unwrap_or("Refused"), "content": content(&error) });
        if status == 429 {
            response["headers"] = json!({ "Retry-After": { "schema": { "type": "integer" } } });
        }
        responses.insert(status.to_string(), response);
    }
    responses.insert("default".to_owned(), json!({ "description": "Refused.", "content": content(&error) }));
    Value::Object(responses)
}

/// Every route refuses a caller who may not; those that name something refuse what is not there.
fn refusals(route: &Route) -> Vec<u16> {
    let named = parts(route.path).next().is_some() || route.method != Method::GET;
    let mut statuses: Vec<u16> = if named { vec![400, 403, 404] } else { vec![400, 403] };
    statuses.extend(route.refuses);
    statuses
}

fn content(schema: &Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}
