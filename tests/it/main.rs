//! Integration tests: the house's plan, and the program as its users run it.

mod imports;
