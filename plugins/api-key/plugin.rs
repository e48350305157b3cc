//! Provider plugin.
