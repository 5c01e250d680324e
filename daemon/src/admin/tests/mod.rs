//! The API, asked in process: a real store, journal, fleet and documents; the outside is what a test says it is.

mod hostnames;
mod openapi;
mod plans;
mod requests;
mod resources;
mod site;
