package console

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"liked/internal/admin"
)

// controlPath is the page of the time, the rate windows, the rules of what goes wrong and the snapshots.
const controlPath = Path + "/control"

var controlRoutes = []route{
	{pattern: "GET /console/control", serve: (*call).control},
	{pattern: "POST /console/control/clock", serve: (*call).moveClock},
	{pattern: "POST /console/control/limits", serve: (*call).resetLimits},
	{pattern: "POST /console/control/faults", serve: (*call).addFault},
	{pattern: "POST /console/control/faults/remove", serve: (*call).removeFaults},
	{pattern: "POST /console/control/snapshots", serve: (*call).takeSnapshot},
	{pattern: "POST /console/control/snapshots/restore", serve: (*call).restore},
	{pattern: "POST /console/control/snapshots/remove", serve: (*call).removeSnapshot},
	{pattern: "POST /console/undo/restore", serve: (*call).undoRestore},
}

// controlPage is the data of control.html.
type controlPage struct {
	form         // what is filled into all forms
	Unfit string // the form that Error is about; "" for none

	Limits      []window
	More        int64 // windows that are not shown
	Caller      string
	LimitsWrong string

	Faults []rule
	Names  faultChoices

	Snapshots      []admin.Snapshot
	SnapshotsWrong string

	Plots plots
}

// control shows the page. The address may fill in the forms.
func (c *call) control() (answer, error) { return c.showControl("", form{Values: c.URL.Query()}) }

// unfitAt shows the page again with what is wrong in the form of that name, and what was typed.
func (c *call) unfitAt(name string, err error) (answer, error) {
	if f, ok := c.refused(err); ok {
		return unfit(c.showControl(name, f))
	}
	return answer{}, err
}

// mistake is what a form is refused for here, as the operator's side refuses others.
func mistake(format string, args ...any) error {
	return &admin.Refusal{Status: http.StatusBadRequest, Reason: fmt.Sprintf(format, args...)}
}

func (c *call) showControl(unfit string, f form) (answer, error) {
	p := controlPage{form: f, Unfit: unfit}
	for _, fill := range []func(*controlPage) error{c.fillLimits, c.fillFaults, c.fillSnapshots, c.fillPlots} {
		if err := fill(&p); err != nil {
			return answer{}, err
		}
	}
	return page("control", "Control", p)
}

// moveClock freezes the clock, lets it go on, or moves it.
func (c *call) moveClock() (answer, error) {
	change := admin.ClockChange{}
	frozen := false
	var err error
	var now admin.Clock
	switch c.PostForm.Get("do") {
	case "freeze":
		frozen = true
		change.Frozen = &frozen
	case "run":
		change.Frozen = &frozen
	case "speed":
		speed, failed := strconv.ParseFloat(strings.TrimSpace(c.PostForm.Get("speed")), 64)
		if failed != nil || math.IsNaN(speed) || math.IsInf(speed, 0) {
			return c.unfitAt("clock", mistake("Enter a number: 60 lets a minute pass in a second"))
		}
		change.Frozen, change.Speed = &frozen, &speed
	case "set":
		at, failed := readTime(c.PostForm.Get("now"))
		if failed != nil {
			return c.unfitAt("clock", failed)
		}
		change.Now = &at
	case "advance":
		by, failed := readDuration(c.PostForm.Get("by"))
		if failed != nil {
			return c.unfitAt("clock", failed)
		}
		now, err = c.admin.AdvanceClock(c.Context(), by)
	default:
		return answer{}, mistake("The form does not say what to do with the clock.")
	}
	if change != (admin.ClockChange{}) {
		now, err = c.admin.SetClock(c.Context(), change)
	}
	if err != nil {
		return c.unfitAt("clock", err)
	}
	text := "It is " + now.Now.UTC().Format("15:04:05 on 2 January 2006") + " UTC"
	switch {
	case now.Frozen:
		text += ", and stays so."
	case now.Speed != 1:
		text += fmt.Sprintf(", and goes %v times as fast.", now.Speed)
	default:
		text += "."
	}
	return c.back(controlPath+"#time", Notice{Text: text})
}

func readDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(strings.ReplaceAll(text, " ", ""))
	switch {
	case strings.TrimSpace(text) == "":
		return 0, mistake("Enter a length of time: 90s, 15m or 2h30m")
	case err != nil:
		return 0, mistake("%q is no length of time: write 90s, 15m or 2h30m", text)
	case d <= 0:
		return 0, mistake("%q is not above 0: write 90s, 15m or 2h30m", text)
	}
	return d, nil
}

// readTime reads what a browser's field for a moment has, in UTC.
func readTime(text string) (time.Time, error) {
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04", time.RFC3339Nano} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, mistake("%q is no moment: write 2030-01-02T15:04:05", text)
}

// window is a rate window in words.
type window struct {
	admin.Window
	Username, AppName string
	Used              int
	Length, In        string // until it starts anew
}

// maxWindows is how many a page shows.
const maxWindows = 100

// fillLimits lists the windows, those with the least left first.
func (c *call) fillLimits(p *controlPage) error {
	p.Caller = c.URL.Query().Get("caller")
	list, err := c.admin.Limits(c.Context(), admin.Callers{User: p.Caller})
	if err != nil {
		if _, ok := c.refused(err); ok {
			p.LimitsWrong, err = sentence(strings.TrimPrefix(err.Error(), fmt.Sprintf("user=%q: ", p.Caller))), nil
		}
		return err
	}
	now, err := c.admin.Clock(c.Context())
	if err != nil {
		return err
	}
	share := func(w admin.Window) float64 { return float64(w.Remaining) / float64(max(w.Limit, 1)) }
	slices.SortStableFunc(list.Limits, func(a, b admin.Window) int { return cmp.Compare(share(a), share(b)) })
	p.More = int64(max(len(list.Limits)-maxWindows, 0))
	names := c.newNames()
	for _, w := range list.Limits[:min(len(list.Limits), maxWindows)] {
		shown := window{Window: w, AppName: names.app(c.Context(), w.App.String()), Used: w.Limit - w.Remaining,
			Length: lasts(time.Duration(w.Window)), In: lasts(w.Reset.Sub(now.Now))}
		if w.User != 0 {
			shown.Username = names.user(c.Context(), w.User.String())
		}
		p.Limits = append(p.Limits, shown)
	}
	return nil
}

// lasts is a time as people say it.
func lasts(d time.Duration) string {
	switch d = max(d.Round(time.Second), 0); {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", (d+time.Minute-1)/time.Minute)
	}
	hours, minutes := d.Round(time.Minute)/time.Hour, d.Round(time.Minute)%time.Hour/time.Minute
	if minutes == 0 {
		return fmt.Sprintf("%d h", hours)
	}
	return fmt.Sprintf("%d h %d min", hours, minutes)
}

func (c *call) resetLimits() (answer, error) {
	done, err := c.admin.ResetLimits(c.Context(), admin.Callers{User: c.PostForm.Get("user"), App: c.PostForm.Get("app"),
		Operation: c.PostForm.Get("operation")})
	if err != nil {
		return answer{}, err
	}
	text := "There was nothing to reset."
	switch {
	case done.Reset == 1:
		text = "One window starts anew with the next call."
	case done.Reset > 1:
		text = fmt.Sprintf("%d windows start anew with the next call.", done.Reset)
	}
	return c.back(controlPath+"#limits", Notice{Text: text})
}

// beforeRestore is the snapshot by which going back is undone.
const beforeRestore = "before-restore"

func (c *call) fillSnapshots(p *controlPage) error {
	list, err := get[admin.SnapshotList](c, "/admin/snapshots", nil)
	if err != nil {
		f, ok := c.refused(err)
		if p.SnapshotsWrong = f.Error; ok {
			err = nil
		}
		return err
	}
	p.Snapshots = list.Snapshots
	return nil
}

func (c *call) takeSnapshot() (answer, error) {
	name := strings.Join(strings.Fields(strings.ToLower(c.PostForm.Get("name"))), "-")
	if name == "" {
		return c.unfitAt("snapshots", mistake("Enter a name"))
	}
	if err := c.admin.Snapshot(c.Context(), name); err != nil {
		return c.unfitAt("snapshots", err)
	}
	return c.back(controlPath+"#snapshots", Notice{Text: "All that the server is now is kept as “" + name + "”."})
}

func (c *call) restore() (answer, error) {
	name := c.PostForm.Get("name")
	n := Notice{Text: "All is as it was at “" + name + "”."}
	if name != beforeRestore && c.admin.Snapshot(c.Context(), beforeRestore) == nil {
		n.Undo = Path + "/undo/restore"
	}
	if err := c.admin.Restore(c.Context(), name); err != nil {
		return answer{}, err
	}
	return c.back(controlPath+"#snapshots", n)
}

func (c *call) undoRestore() (answer, error) {
	if err := c.admin.Restore(c.Context(), beforeRestore); err != nil {
		return answer{}, err
	}
	return c.back(c.from(), Notice{Text: "All is as it was before you went back."})
}

func (c *call) removeSnapshot() (answer, error) {
	name := c.PostForm.Get("name")
	if err := c.change(http.MethodDelete, "/admin/snapshots/"+url.PathEscape(name), nil, nil); err != nil {
		return answer{}, err
	}
	return c.back(controlPath+"#snapshots", Notice{Text: "“" + name + "” is forgotten."})
}
