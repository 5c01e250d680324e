//! Every route, said once: the router, the OpenAPI document and the decision who may do what are made from this table.

use axum::http::Method;
use claviger_config::admin::{
    DiscoveredView, ExecuteRequest, Explanation, FleetStatus, HostnameChange, HostnameRequest, HostnameView, List,
    PlanRequest, PlanView, Resource, VersionView,
};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::{
    call::Parameter,
    changes, explanation, hostnames, inventory, plans, resources,
    route::{Gives, Route, Shape},
    status, version,
};

/// Every path.
pub(super) fn paths() -> impl Iterator<Item = String> {
    ROUTES.iter().map(|route| route.path.to_owned())
}

/// The methods that a path takes.
pub(super) fn methods(path: &str) -> Vec<&'static str> {
    let here = ROUTES.iter().filter(|route| route.path == path);
    let mut methods: Vec<_> = here.map(|route| route.method.as_str()).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.sort_unstable();
    methods
}

fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// A list has no name of its own: it says what it holds where it is answered.
fn list<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    List::<T>::json_schema(generator)
}

fn any(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({ "type": "object" })
}

const fn text(name: &'static str, says: &'static str) -> Parameter {
    Parameter { name, says, number: None }
}

const LIMIT: Parameter =
    Parameter { name: "limit", says: "At most so many items; 500 when absent.", number: Some((1, 5_000)) };
const NAMESPACE: Parameter = text("namespace", "Objects of this namespace only.");
const ENVIRONMENT: Parameter = text("environment", "Objects of this environment only.");
const AFTER: Parameter = text("after", "`next` of the page before.");
const TENANT: Parameter = text("tenant", "Host names of this tenant only.");
const CURSOR: Parameter = Parameter {
    name: "cursor",
    says: "Changes behind this one; from the first when absent.",
    number: Some((0, i64::MAX.unsigned_abs())),
};

const fn ok(body: Shape) -> Gives {
    Gives { status: 200, says: "How it is.", body: Some(body) }
}

const BARE: Route = Route {
    method: Method::GET,
    path: "",
    id: "",
    verb: "",
    says: "",
    query: &[],
    takes: None,
    gives: &[],
    refuses: &[],
    act: |admin, call| Box::pin(version::show(admin, call)),
};

const ONE_HOSTNAME: &str = "/v1/environments/{environment}/hostnames/{hostname}";
const PAGE_OF_RESOURCES: &[Parameter] = &[NAMESPACE, ENVIRONMENT, AFTER, LIMIT];

/// Every route, by noun.
pub(super) static ROUTES: &[Route] = &[
    Route {
        path: "/v1/version",
        id: "showVersion",
        verb: "version.read",
        says: "Tells which build answers.",
        gives: &[ok(shape::<VersionView>)],
        act: |admin, call| Box::pin(version::show(admin, call)),
        ..BARE
    },
    Route {
        path: "/v1/openapi.json",
        id: "showOpenapi",
        verb: "openapi.read",
        says: "Tells every route: this document.",
        gives: &[ok(any)],
        act: |_, _| Box::pin(version::openapi(ROUTES)),
        ..BARE
    },
    Route {
        path: "/v1/status",
        id: "showStatus",
        verb: "status.read",
        says: "Tells whether anything is wrong, since when, whose turn it is and when it begins to hurt; worst first.",
        gives: &[ok(shape::<FleetStatus>)],
        act: |admin, call| Box::pin(status::show(admin, call)),
        ..BARE
    },
    Route {
        path: "/v1/resources/{kind}",
        id: "listResources",
        verb: "resource.list",
        says: "Lists the resources of a kind, in the order of namespace and name.",
        query: PAGE_OF_RESOURCES,
        gives: &[ok(list::<Resource>)],
        act: |admin, call| Box::pin(resources::list(admin, call)),
        ..BARE
    },
    Route {
        path: "/v1/resources/{kind}/{name}",
        id: "showEnvironment",
        verb: "resource.read",
        says: "Tells one resource that has no namespace: an Environment.",
        gives: &[ok(shape::<Resource>)],
        act: |admin, call| Box::pin(resources::show(admin, call)),
        ..BARE
    },
    Route {
        path: "/v1/resources/{kind}/{namespace}/{name}",
        id: "showResource",
        verb: "resource.read",
        says: "Tells one resource.",
        gives: &[ok(shape::<Resource>)],
        act: |admin, call| Box::pin(resources::show(admin, call)),
        ..BARE
    },
    Route {
        path: "/v1/resources/{kind}/{name}/explanation",
        id: "explainEnvironment",
        verb: "resource.explain",
        says: "Explains one resource that has no namespace: an Environment.",
        gives: &[ok(shape::<Explanation>)],
        act: |admin, call| Box::pin(explanation::show(admin, call)),
        ..BARE
    },
    Route {
        path: "/v1/resources/{kind}/{namespace}/{name}/explanation",
        id: "explainResource",
        verb: "resource.explain",
        says: "Explains one resource from end to end: why, how far, what happened, what comes next.",
        gives: &[ok(shape::<Explanation>)],
        act: |admin, call| Box::pin(explanation::show(admin, call)),
        ..BARE
    },
    Route {
        path: "/v1/environments/{environment}/hostnames",
        id: "listHostnames",
        verb: "hostname.list",
        says: "Lists customers' host names of an environment, in the order of names.",
        query: &[TENANT, AFTER, LIMIT],
        gives: &[ok(list::<HostnameView>)],
        act: |admin, call| Box::pin(hostnames::list(admin, call)),
        ..BARE
    },
    Route {
        method: Method::PUT,
        path: ONE_HOSTNAME,
        id: "putHostname",
        verb: "hostname.put",
        says: "Asks for a customer's host name. Twice the same is once.",
        takes: Some(shape::<HostnameRequest>),
        gives: &[
            Gives { status: 200, says: "It was there.", body: Some(shape::<HostnameView>) },
            Gives { status: 201, says: "It is new.", body: Some(shape::<HostnameView>) },
        ],
        refuses: &[408, 409, 413, 415],
        act: |admin, call| Box::pin(hostnames::put(admin, call)),
        ..BARE
    },
    Route {
        path: ONE_HOSTNAME,
        id: "showHostname",
        verb: "hostname.read",
        says: "Tells how far a customer's host name is, and which records the customer must have.",
        gives: &[ok(shape::<HostnameView>)],
        act: |admin, call| Box::pin(hostnames::show(admin, call)),
        ..BARE
    },
    Route {
        method: Method::DELETE,
        path: ONE_HOSTNAME,
        id: "removeHostname",
        verb: "hostname.remove",
        says: "No longer asks for a customer's host name. What is at the edge stays there.",
        gives: &[Gives { status: 204, says: "It is not asked for, any more or ever.", body: None }],
        refuses: &[409],
        act: |admin, call| Box::pin(hostnames::remove(admin, call)),
        ..BARE
    },
    Route {
        method: Method::POST,
        path: "/v1/environments/{environment}/hostnames/{hostname}/check",
        id: "checkHostname",
        verb: "hostname.check",
        says: "Has DNS and the edge looked at now, at most every ten seconds for each name.",
        gives: &[ok(shape::<HostnameView>)],
        refuses: &[429],
        act: |admin, call| Box::pin(hostnames::check(admin, call)),
        ..BARE
    },
    Route {
        path: "/v1/environments/{environment}/changes",
        id: "listChanges",
        verb: "hostname.changes",
        says: "Tells what changed about host names, oldest first. `cursor` of the last item is where the next call begins.",
        query: &[CURSOR, LIMIT],
        gives: &[ok(list::<HostnameChange>)],
        act: |admin, call| Box::pin(changes::list(admin, call)),
        ..BARE
    },
    Route {
        path: "/v1/environments/{environment}/inventory",
        id: "listInventory",
        verb: "inventory.list",
        says: "Lists certificates that claviger did not issue, in the namespaces of an environment; what ends first in front. \
            They are looked for in a cluster only.",
        gives: &[ok(list::<DiscoveredView>)],
        act: |admin, call| Box::pin(inventory::list(admin, call)),
        ..BARE
    },
    Route {
        method: Method::POST,
        path: "/v1/plans",
        id: "makePlan",
        verb: "plan.make",
        says: "Plans a change and tells what it would do and cost. Nothing is done.",
        takes: Some(shape::<PlanRequest>),
        gives: &[ok(shape::<PlanView>)],
        refuses: &[408, 413, 415],
        act: |admin, call| Box::pin(plans::make(admin, call)),
        ..BARE
    },
    Route {
        method: Method::POST,
        path: "/v1/plans/{hash}/execute",
        id: "executePlan",
        verb: "plan.execute",
        says: "Executes a plan as it stands, once, or not at all.",
        takes: Some(shape::<ExecuteRequest>),
        gives: &[Gives { status: 200, says: "claviger is at it.", body: Some(shape::<plans::Executed>) }],
        refuses: &[408, 409, 413, 415],
        act: |admin, call| Box::pin(plans::execute(admin, call)),
        ..BARE
    },
];
