//! Stories: what people do with ccproxy, told with real programs. One file a story.

mod harness;
