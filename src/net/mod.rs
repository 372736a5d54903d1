//! The one outgoing HTTP client: no redirects, no proxies from the environment, a cap on time and on what is read back.
