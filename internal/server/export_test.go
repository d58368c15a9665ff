package server

import (
	"time"

	"liked/internal/store/pebblestore"
)

// SetDisk has the server open its store with what change makes of the options.
func (c *Config) SetDisk(change func(*pebblestore.Options)) { c.disk = change }

// SetTick sets the time by which idle connections are counted.
func (c *Config) SetTick(d time.Duration) { c.tick = d }

// SetRejecting sets how long a client may take to read that there is no room for its connection.
func (c *Config) SetRejecting(d time.Duration) { c.rejecting = d }

// SetVanished sets how long a client may be silent on the network.
func (c *Config) SetVanished(d time.Duration) { c.vanished = d }
