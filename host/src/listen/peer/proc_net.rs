//! `/proc/net/tcp` and `/proc/net/tcp6`: every TCP socket as a line of hexadecimal numbers.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Row;

/// All TCP sockets of this network namespace.
pub(in crate::listen) fn rows() -> Vec<Row> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let text = read("/proc/net/tcp") + &read("/proc/net/tcp6");
    text.lines().filter_map(parse).collect()
}

/// A line: `sl local remote st tx:rx tr:when retrnsmt uid timeout inode ...`; the heading is none.
fn parse(line: &str) -> Option<Row> {
    let words: Vec<_> = line.split_ascii_whitespace().collect();
    Some(Row {
        local: address(words.get(1)?)?,
        remote: address(words.get(2)?)?,
        state: u8::from_str_radix(words.get(3)?, 16).ok()?,
        uid: words.get(7)?.parse().ok()?,
        inode: words.get(9)?.parse().ok()?,
    })
}

/// `0100007F:210E`: the address in 32-bit words of the machine's byte order, the port as it reads. An IPv6
/// socket that talks to an IPv4 one is in the other file, with a mapped address.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| {
        let word = u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (at, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn a_line_is_read_as_the_kernel_writes_it() {
        let line = "   1: 0100007F:210E 0100007F:D2F2 01 00000000:00000000 00:00000000 00000000  1000        0 31337 1 0000000000000000";
        let row = Row {
            local: "127.0.0.1:8462".parse().unwrap(),
            remote: "127.0.0.1:54002".parse().unwrap(),
            state: 1,
            uid: 1000,
            inode: 31337,
        };
        assert_eq!(parse(line), Some(row));
        let six = "00000000000000000000000001000000:210E";
        assert_eq!(address(six), Some("[::1]:8462".parse().unwrap()));
        let mapped = "0000000000000000FFFF00000100007F:210E";
        assert_eq!(address(mapped), Some("127.0.0.1:8462".parse().unwrap()));
    }

    #[test]
    fn what_is_no_line_is_no_row() {
        for line in
            ["", "  sl  local_address rem_address   st tx_queue", "1: 0100007F 0:0 01", "1: zz:1 zz:2 01"]
        {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
