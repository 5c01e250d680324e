//! claviger-core: decides and steers. No runtime, no vendor, no C, no clock, no dice.
//!
//! # A certificate's way
//!
//! A document becomes a `Wanted`. The agenda lends its name to one pass at a time, and [`Keeper::pass`](reconcile::pass::Keeper::pass)
//! loops **plan → admit → commit → step → hear** until the plan rests:
//!
//! ```text
//!  SealNewKey ─ OpenOrder ─ look Order ─ Answer ─ look Order ─ Finalize ─ look Order ─ look Certificate ─ Deliver ─ Reload ─ rest
//!      │            │                                  │                        │             │                     until the
//!   key wrapped  intent stored                   same key, same order       verified     swapped as one            next instant
//!   and stored   before, outcome after           after every restart        first
//! ```
//!
//! # Invariants
//!
//! - [`domain`] never awaits, tells time or draws lots; a decision is a list of rules, and the first that speaks wins.
//! - A pass awaits [`World`](reconcile::world::World) and nothing else.
//! - One commit holds the outcome of the step before and the intent of the step to come.
//! - An effect that may not be done twice has a question beside it; [`Effect::terms`](domain::effect::Effect::terms) is the table.
//! - A failure says when to try again, whether it may have happened, and who else must stop.
//!
//! Start reading at [`domain::certificate`], then [`reconcile::pass`], then [`ports`].

pub mod domain;
pub mod ports;
pub mod reconcile;
pub mod report;
