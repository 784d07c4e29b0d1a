//! Tells the compiler which Python it builds for (`cfg(Py_3_10)` and so on).

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
}
