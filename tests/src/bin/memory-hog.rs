//! Holds memory until its standard input ends: a neighbour for tests of the governor.
//!
//! ```text
//! memory-hog MIB             anonymous memory, touched
//! memory-hog MIB FILE        page cache instead: a file of that size, written and read
//! ```
//!
//! Says `ready` when it has what it wants.

use std::io::{Read, Write};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mib: usize = arguments.next().and_then(|mib| mib.parse().ok()).expect("a number of mebibytes");
    // Ones, because zeros would not be touched.
    let block = vec![1_u8; 1 << 20];
    let held: Vec<Vec<u8>> = match arguments.next() {
        None => (0..mib).map(|_| block.clone()).collect(),
        Some(file) => {
            let mut out = std::fs::File::create(&file).expect("a file that can be written");
            for _ in 0..mib {
                out.write_all(&block).expect("room on the disk");
            }
            // Pages that are not written yet cannot be given back.
            out.sync_all().expect("a disk that works");
            let read = std::io::copy(&mut std::fs::File::open(&file).expect("just written"), &mut std::io::sink());
            assert_eq!(read.expect("readable"), (mib as u64) << 20);
            Vec::new()
        }
    };
    println!("ready");
    let _ = std::io::stdin().read(&mut [0]);
    drop(held);
}
