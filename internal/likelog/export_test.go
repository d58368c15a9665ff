package likelog

// Keep sets how many entries of a partition stay in memory.
func (l *Log) Keep(entries int) { l.kept = entries }
