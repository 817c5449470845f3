//! pagers
