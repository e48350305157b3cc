//! `export_provider!`: the one symbol and the one section that make a shared object a plugin.

#[doc(hidden)]
pub mod private {
    pub use crate::glue::{create, settings_schema};
    pub use crate::manifest::{Build, json_bytes, json_len};
    pub use ccproxy_plugin_abi as abi;

    use abi::abi_stable::prefix_type::PrefixTypeTrait as _;

    /// The root module of a provider.
    pub fn module<P: crate::Provider>() -> abi::PluginModule_Ref {
        abi::PluginModule { settings_schema: settings_schema::<P>, create: create::<P> }.leak_into_prefix()
    }
}

/// Exports a [`Provider`](crate::Provider): the root symbol, which carries the ABI's major version,
/// and the manifest section, which the host reads before it runs anything.
///
/// Written by hand instead of abi_stable's `export_root_module`, so that a plugin crate depends on
/// this SDK only.
#[macro_export]
macro_rules! export_provider {
    ($provider:ty) => {
        #[allow(unsafe_code)]
        const _: () = {
            use __private::abi::abi_stable::library as __library;
            use $crate::export::private as __private;

            extern "C" fn root() -> __library::RootModuleResult {
                __library::__call_root_module_loader(__private::module::<$provider>)
            }

            // SAFETY (export_name): the name is ours, and one image exports one provider.
            #[unsafe(export_name = "ccproxy_plugin_root_v1")]
            // SAFETY: the constructor returns the module type whose layout is recorded here.
            static ROOT: __library::LibHeader = unsafe {
                __library::LibHeader::from_constructor::<__private::abi::PluginModule_Ref>(
                    root,
                    __library::CheckTypeLayout::Yes,
                )
            };

            const BUILD: __private::Build = __private::Build {
                version: env!("CARGO_PKG_VERSION"),
                panic: if cfg!(panic = "unwind") { "unwind" } else { "abort" },
            };
            const MANIFEST: $crate::Manifest = <$provider as $crate::Provider>::MANIFEST;

            // SAFETY (link_section): plain bytes, read as a file by the host.
            #[used]
            #[unsafe(link_section = "ccproxy_manifest")]
            static BYTES: [u8; __private::json_len(&MANIFEST, &BUILD)] =
                __private::json_bytes(&MANIFEST, &BUILD);
        };
    };
}
