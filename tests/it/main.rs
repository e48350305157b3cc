//! Stories: what people do with ccproxy, told with real programs. One file a story.

#![allow(clippy::unwrap_used, reason = "a story fails where it is surprised")]

mod harness;
mod hello_plugin;
