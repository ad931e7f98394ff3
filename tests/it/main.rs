//! Integration tests: the house's plan, and the program as its users run it.

mod end_to_end;
mod imports;
mod support;
