package limit

// Open returns the number of callers whose windows are held.
func (l *Limiter) Open() (n int) {
	for i := range l.shards {
		l.shards[i].mu.Lock()
		n += len(l.shards[i].counters)
		l.shards[i].mu.Unlock()
	}
	return n
}
