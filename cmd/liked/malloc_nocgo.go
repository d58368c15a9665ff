//go:build !cgo

package main

// oneArena does nothing: pebble takes its memory from Go.
func oneArena() {}
