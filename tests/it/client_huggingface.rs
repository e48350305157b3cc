//! The Hugging Face SDK, pointed at the proxy by nothing but what `ccproxy env` prints.

use ccproxy_tests::clients::{environment, python};
use ccproxy_tests::keyed::KeyedApi;
use pretty_assertions::assert_eq;

const WHOAMI: &str = include_str!("../parts/clients/huggingface_whoami.py");

#[tokio::test]
async fn the_hub_knows_who_we_are_though_the_sdk_does_not() {
    let vendor = KeyedApi::vendor("huggingface", "hf").await;
    let _host = vendor.home.serve().await;
    let environment = environment(&vendor.home, "huggingface").await;
    let told = python(&vendor.home, &["huggingface_hub"], WHOAMI, &environment).await.expect_success();
    assert_eq!(told.stdout, "alice\n");
    vendor.assert_only_our_key("authorization");
}
