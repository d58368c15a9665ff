//go:build cgo

package main

// #include <stdlib.h>
// #ifdef __GLIBC__
// #include <malloc.h>
// static void one_arena(void) { mallopt(M_ARENA_MAX, 1); }
// #else
// static void one_arena(void) {}
// #endif
import "C"

// oneArena limits glibc, which allocates pebble's cache, to one arena: with a full cache of 512 MiB the process took
// 680 MB, with several arenas 1,030 MB.
func oneArena() { C.one_arena() }
