//! Connects to a socket, with nothing to show, and tells what came of it: `denied`, `hung up`, or `answered`.

use std::io::Read;

fn main() {
    #[cfg(unix)]
    {
        let path = std::env::args_os().nth(1).expect("the socket's path");
        let outcome = match std::os::unix::net::UnixStream::connect(path) {
            Err(_) => "denied",
            Ok(mut stream) => match stream.read(&mut [0; 64]) {
                Ok(0) | Err(_) => "hung up",
                Ok(_) => "answered",
            },
        };
        println!("{outcome}");
    }
}
