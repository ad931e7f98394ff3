//! Builds the roles, starts them, drains them.
