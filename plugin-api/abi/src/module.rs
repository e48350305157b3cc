//! The one thing a plugin exports.

use abi_stable::StableAbi;
use abi_stable::library::RootModule;
use abi_stable::package_version_strings;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::RString;

use crate::ApiResult;
use crate::services::{HostApiBox, ProviderBox};

/// Entry points of a plugin. Fields are only ever added at the end.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginModule_Ref, prefix_fields = PluginModule_Prefix)))]
#[sabi(missing_field(option))]
pub struct PluginModule {
    /// The JSON Schema of the connection settings. Not in the manifest: it is generated from the
    /// author's settings type, which needs code to run.
    pub settings_schema: extern "C" fn() -> ApiResult<RString>,
    /// Makes the provider. Called once per loaded image.
    #[sabi(last_prefix_field)]
    pub create: extern "C" fn(host: HostApiBox) -> ApiResult<ProviderBox>,
}

impl RootModule for PluginModule_Ref {
    abi_stable::declare_root_module_statics! {PluginModule_Ref}
    const BASE_NAME: &'static str = "ccproxy_plugin";
    const NAME: &'static str = "ccproxy_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}
