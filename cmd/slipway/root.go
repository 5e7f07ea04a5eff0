package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"slipway/internal/progress"
	"slipway/internal/store"
	"slipway/internal/trace"
)

// Env is the world that a verb may touch, so that tests can call Run.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	opt            globals
	events         bool // --json prints events
	progress       *progress.Reporter
	atEnd          []func() error
}

// globals are the flags of every verb.
type globals struct {
	store   string
	json    bool
	quiet   bool
	verbose bool
	set     []string

	cpuprofile string
	trace      string
}

// Run executes one command line and returns its exit status.
func Run(ctx context.Context, env *Env, args []string) int {
	root := newRoot(env)
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := root.ExecuteContext(ctx)
	if env.progress != nil {
		env.progress.Close()
	}
	for _, end := range env.atEnd {
		if endErr := end(); err == nil {
			err = endErr
		}
	}
	return report(ctx, env.Stderr, err)
}

func newRoot(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "slipway",
		Short: "Build Linux machines from one file, start them, prove that they work",
		Example: `  slipway up gallery/hello.yaml        build it, start it, prove it
  slipway build web.yaml -o web.tar    write an image
  slipway test web.yaml                build, start, prove, tear down`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			hint := ""
			if near := nearest(args[0], cmd.SuggestionsFor(args[0])); near != "" {
				hint = fmt.Sprintf("; did you mean %s?", near)
			}
			return usageError("unknown verb %q%s (slipway --help lists them)", args[0], hint)
		},
	}
	root.SuggestionsMinimumDistance = 2
	root.CompletionOptions.DisableDefaultCmd = true // there is our own
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError("%v (slipway %s --help lists the flags)", err, strings.TrimPrefix(cmd.CommandPath(), "slipway "))
	})
	flags := root.PersistentFlags()
	flags.StringVar(&env.opt.store, "store", "", "`DIR` of the store (default $SLIPWAY_STORE, else the user's cache folder)")
	flags.BoolVar(&env.opt.json, "json", false, "print results and events as JSON")
	flags.BoolVarP(&env.opt.quiet, "quiet", "q", false, "print only results and errors")
	flags.BoolVarP(&env.opt.verbose, "verbose", "v", false, "print each step and the output of maintainer scripts")
	flags.StringArrayVar(&env.opt.set, "set", nil, "override a key of the definition: `KEY=VALUE`, a dotted path and a YAML value (repeatable)")
	for _, verb := range verbs {
		cmd := verb(env)
		completeWords(cmd)
		root.AddCommand(cmd)
	}
	wrapUsage(root)
	return root
}

// nearest prefers a verb that begins like the word.
func nearest(word string, verbs []string) string {
	best, length := "", -1
	for _, v := range verbs {
		n := 0
		for n < len(v) && n < len(word) && v[n] == word[n] {
			n++
		}
		if n > length {
			best, length = v, n
		}
	}
	return best
}

// wrapUsage turns wrong arguments into usage errors, so that they exit with 2.
func wrapUsage(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		if check := cmd.Args; check != nil {
			cmd.Args = func(c *cobra.Command, args []string) error {
				if err := check(c, args); err != nil {
					return usageError("%v\nusage: %s", err, c.UseLine())
				}
				return nil
			}
		}
		wrapUsage(cmd)
	}
}

// profiling adds --cpuprofile and --trace to a verb that does long work.
func profiling(env *Env, cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&env.opt.cpuprofile, "cpuprofile", "", "write a CPU profile of slipway itself to this `FILE`")
	cmd.Flags().StringVar(&env.opt.trace, "trace", "", "write a Chrome trace of every step to this `FILE`")
	run := cmd.RunE
	cmd.RunE = func(c *cobra.Command, args []string) (err error) {
		if env.opt.cpuprofile != "" {
			f, err := os.Create(env.opt.cpuprofile)
			if err != nil {
				return err
			}
			defer f.Close()
			if err := pprof.StartCPUProfile(f); err != nil {
				return err
			}
			defer pprof.StopCPUProfile()
		}
		if env.opt.trace != "" {
			stop, err := trace.ToFile(env.opt.trace)
			if err != nil {
				return err
			}
			defer stop()
		}
		return run(c, args)
	}
	return cmd
}

// streaming marks a verb whose --json output is events, one a line. The others
// print one document, and their progress stays on standard error.
func streaming(env *Env, cmd *cobra.Command) *cobra.Command {
	cmd.PreRun = func(*cobra.Command, []string) { env.events = true }
	return cmd
}

// reporter is made once a verb knows that it does long work.
func (e *Env) reporter() *progress.Reporter {
	if e.progress == nil {
		mode := progress.Plain
		switch {
		case e.opt.json && e.events:
			mode = progress.JSON
		case e.opt.quiet:
			mode = progress.Quiet
		case e.opt.verbose:
			mode = progress.Verbose
		}
		out := e.Stderr
		if mode == progress.JSON {
			out = e.Stdout // events are the result then
		}
		e.progress = progress.New(out, mode, isTerminal(out))
	}
	return e.progress
}

func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// openStore opens the store that the flags and the environment name.
func (e *Env) openStore() (*store.Store, error) {
	dir, err := e.storeDir()
	if err != nil {
		return nil, err
	}
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		return nil, err
	}
	e.atEnd = append(e.atEnd, s.Flush, s.Close)
	return s, nil
}

func (e *Env) storeDir() (string, error) {
	if e.opt.store != "" {
		return filepath.Abs(e.opt.store)
	}
	if dir := os.Getenv("SLIPWAY_STORE"); dir != "" {
		return filepath.Abs(dir)
	}
	if os.Geteuid() == 0 {
		return "/var/cache/slipway", nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the store: %w (name one with --store DIR)", err)
	}
	return filepath.Join(cache, "slipway"), nil
}
