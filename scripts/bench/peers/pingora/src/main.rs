//! A minimal proxy on pingora: replaces the Authorization field with `Bearer $BENCH_KEY`.
//!
//! usage: pingora-peer THREADS PORT UPSTREAM_PORT TLS_PORT TLS_UPSTREAM_PORT

use std::{env, error::Error};

use async_trait::async_trait;
use pingora::{
    http::RequestHeader,
    prelude::{HttpPeer, Result, Server},
    protocols::ALPN,
    proxy::{ProxyHttp, Session, http_proxy_service},
    server::configuration::ServerConf,
};

struct Work {
    upstream: String,
    tls: bool,
    authorization: String,
}

#[async_trait]
impl ProxyHttp for Work {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, _: &mut ()) -> Result<Box<HttpPeer>> {
        let mut peer = HttpPeer::new(self.upstream.as_str(), self.tls, "127.0.0.1".to_owned());
        peer.options.verify_cert = false;
        peer.options.verify_hostname = false;
        peer.options.alpn = ALPN::H1;
        Ok(Box::new(peer))
    }

    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        request: &mut RequestHeader,
        _: &mut (),
    ) -> Result<()> {
        request.insert_header("authorization", self.authorization.as_str())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let numbers = env::args().skip(1).map(|each| each.parse()).collect::<Result<Vec<u16>, _>>()?;
    let [threads, port, upstream, tls_port, tls_upstream] = numbers[..] else {
        return Err("usage: pingora-peer THREADS PORT UPSTREAM_PORT TLS_PORT TLS_UPSTREAM_PORT".into());
    };
    let authorization = format!("Bearer {}", env::var("BENCH_KEY")?);

    let settings =
        ServerConf { threads: threads.into(), upstream_keepalive_pool_size: 1024, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, settings);
    server.bootstrap();
    for (port, upstream, tls) in [(port, upstream, false), (tls_port, tls_upstream, true)] {
        let upstream = format!("127.0.0.1:{upstream}");
        let work = Work { upstream, tls, authorization: authorization.clone() };
        let mut service = http_proxy_service(&server.configuration, work);
        service.add_tcp(&format!("127.0.0.1:{port}"));
        server.add_service(service);
    }
    server.run_forever()
}
