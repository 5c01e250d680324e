//! Command line. 
fn main() {}
