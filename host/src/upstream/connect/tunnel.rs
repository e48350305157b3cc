//! `CONNECT` through an outbound proxy (RFC 9110 section 9.3.6).

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{ConnectError, ProxyUrl};
use crate::upstream::Origin;

/// A proxy's answer to `CONNECT` is a few lines; more is not an answer.
const MAX_HEAD: usize = 8 * 1024;

/// Asks `proxy` for a tunnel to `origin` and waits for its yes.
pub(super) async fn open(
    mut tcp: TcpStream,
    proxy: &ProxyUrl,
    origin: &Origin,
) -> Result<TcpStream, ConnectError> {
    let to = format!("{}:{}", origin.host(), origin.port());
    let refused = |reason: String| ConnectError::Tunnel { proxy: proxy.authority(), to: to.clone(), reason };
    tcp.write_all(&request(&to, proxy)).await.map_err(|error| refused(error.to_string()))?;
    let head = read_head(&mut tcp).await.map_err(&refused)?;
    accepted(&head).map_err(refused)?;
    Ok(tcp)
}

fn request(to: &str, proxy: &ProxyUrl) -> Vec<u8> {
    let mut head = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n").into_bytes();
    if let Some(authorization) = proxy.authorization() {
        head.extend_from_slice(b"Proxy-Authorization: ");
        head.extend_from_slice(authorization.expose());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Reads to the end of the head and not a byte further: what follows belongs to TLS.
async fn read_head(tcp: &mut TcpStream) -> Result<Vec<u8>, String> {
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_HEAD {
            return Err("its answer has no end".into());
        }
        // A byte at a time: a handshake pays this once, and reading ahead would need a rewind.
        head.push(tcp.read_u8().await.map_err(|error| error.to_string())?);
    }
    Ok(head)
}

fn accepted(head: &[u8]) -> Result<(), String> {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (version, status) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let success = status.len() == 3 && status.starts_with('2');
    if version.starts_with("HTTP/1.") && success { Ok(()) } else { Err(line.escape_debug().to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn a_request_names_the_origin_and_presents_the_proxys_own_password() {
        let proxy: ProxyUrl = "http://ann:s%20cret@proxy.example:3128".parse().unwrap();
        assert_eq!(
            String::from_utf8(request("api.example.com:443", &proxy)).unwrap(),
            "CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\
             Proxy-Authorization: Basic YW5uOnMgY3JldA==\r\n\r\n"
        );
    }

    #[test]
    fn only_a_2xx_opens_the_tunnel() {
        assert_eq!(accepted(b"HTTP/1.1 200 Connection established\r\n\r\n"), Ok(()));
        assert_eq!(
            accepted(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"),
            Err("HTTP/1.1 407 Proxy Authentication Required".into())
        );
        assert!(accepted(b"SSH-2.0-x 200\r\n\r\n").is_err());
        assert!(accepted(b"HTTP/1.1 2\r\n\r\n").is_err());
    }
}
