//! Compiles the C++ in `src/native`. The standard library is linked by llama-cpp-sys-2, statically where its features
//! say so.

fn main() {
    println!("cargo:rerun-if-changed=src/native/buffers.cpp");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .cpp_link_stdlib(None)
        .file("src/native/buffers.cpp")
        .compile("meetcap_llama_buffers");
}
