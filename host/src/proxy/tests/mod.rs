//! The request path from socket to socket: a raw client, the proxy, a raw upstream that the test plays.
//!
//! Order is proved by order: a side is read only after the other was seen to have got that far.

mod client;
mod credentials;
mod doors;
mod draining;
mod errors;
mod half;
mod house;
mod http2;
mod inside;
mod interim;
mod relaying;
mod seasons;
mod splits;
mod streaming;
mod upstream;
mod weather;
mod websocket;

use std::future::Future;
use std::time::Duration;

use client::Client;
use house::House;
use upstream::Upstream;

/// Far longer than anything here takes; a test that waits for it has failed.
async fn soon<T>(waited: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), waited).await.expect("it did not happen")
}
