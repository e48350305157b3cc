//! A loopback port that leads to a Unix socket, for clients that speak to ports only.

use std::path::Path;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixStream};
use tokio::task::JoinSet;

/// The port, for as long as this lives.
pub struct Bridge {
    authority: String,
    _serving: JoinSet<()>,
}

impl Bridge {
    pub async fn to(socket: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let authority = listener.local_addr().expect("a bound socket").to_string();
        let socket = socket.to_owned();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut clients = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let socket = socket.clone();
                clients.spawn(async move {
                    if let Ok(mut host) = UnixStream::connect(&socket).await {
                        // Whoever breaks off has had enough.
                        let _ = copy_bidirectional(&mut client, &mut host).await;
                    }
                });
                while clients.try_join_next().is_some() {}
            }
        });
        Self { authority, _serving: serving }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.authority)
    }
}
