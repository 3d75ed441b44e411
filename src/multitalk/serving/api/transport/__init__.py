"""HTTP over sockets: limits before authentication, and a graceful shutdown."""
