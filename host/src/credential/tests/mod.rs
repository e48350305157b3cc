//! What the orchestration promises. Time is paused: an hour passes when nothing else is to be done.

mod bench;
mod coalescing;
mod failures;
mod hosts;
mod timing;
mod turnover;
