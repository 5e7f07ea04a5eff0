package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/target/supervisor"
)

func newCompletion(env *Env) *cobra.Command {
	shells := []string{"bash", "zsh", "fish"}
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print a script that completes slipway's words in bash, zsh or fish",
		Long: `Print the completion script of a shell. For bash it needs the package
bash-completion; a new shell then completes verbs, flags and files.`,
		Example: `  source <(slipway completion bash)                                    # this shell
  slipway completion bash > /etc/bash_completion.d/slipway             # every bash
  slipway completion zsh > "${fpath[1]}/_slipway"                      # every zsh
  slipway completion fish > ~/.config/fish/completions/slipway.fish    # every fish`,
		ValidArgs: shells,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("name one shell: bash, zsh or fish")
			}
			return cobra.OnlyValidArgs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "zsh":
				return root.GenZshCompletion(env.Stdout)
			case "fish":
				return root.GenFishCompletion(env.Stdout, true)
			}
			return root.GenBashCompletionV2(env.Stdout, true)
		},
	}
}

// completeWords teaches a shell what a verb's argument is: a definition file
// or the name of a machine.
func completeWords(cmd *cobra.Command) {
	switch _, argument, _ := strings.Cut(cmd.Use, " "); {
	case strings.HasPrefix(argument, "FILE"):
		cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
		}
	case strings.HasPrefix(strings.TrimPrefix(argument, "[USER@]"), "NAME"):
		cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			list, err := supervisor.List("")
			if err != nil {
				return nil, cobra.ShellCompDirectiveError
			}
			var names []string
			for _, m := range list {
				names = append(names, m.Name)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		}
	}
}
