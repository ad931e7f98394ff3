//! Panes, watermarks, windows and their revisions.
