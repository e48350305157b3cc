//! The parts that the stories stand on, seen working without the proxy: when a story fails, these say whose
//! fault it is.

mod clients;
mod logins;
