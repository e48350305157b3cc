//! An upstream that the test plays by hand, connection by connection.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::client::Wire;
use super::soon;

pub(super) struct Upstream {
    listener: TcpListener,
    pub(super) address: SocketAddr,
}

impl Upstream {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) async fn accept(&self) -> Wire {
        Wire::new(soon(self.listener.accept()).await.unwrap().0)
    }

    /// Whether nobody has connected that was not accepted.
    pub(super) async fn is_untouched(&self) -> bool {
        let accepted = self.listener.accept();
        // One turn of the reactor sees a connection that is there.
        tokio::time::timeout(std::time::Duration::from_millis(20), accepted).await.is_err()
    }
}
