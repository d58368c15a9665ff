package server

import "liked/internal/store/pebblestore"

// SetDisk has the server open its store with what change makes of the options.
func (c *Config) SetDisk(change func(*pebblestore.Options)) { c.disk = change }
