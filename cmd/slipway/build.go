package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"slipway/internal/build"
	"slipway/internal/plan"
)

func newBuild(env *Env) *cobra.Command {
	var flags buildFlags
	var out, class string
	cmd := &cobra.Command{
		Use:   "build FILE [-o OUT]",
		Short: "Build a machine into the store, or write it as an image",
		Long: `Build a machine. Without -o it is built into the store and its key is printed.
With -o an image is written; its format follows the suffix:
  dir/  .tar  .tar.zst  .tar.gz  .tar.xz  .cpio  .cpio.zst  .cpio.gz  .cpio.xz
  .squashfs  .erofs  .oci.tar
                          a tree
  .raw  .qcow2            a disk that boots
  .efi                    a machine in RAM, as one program for UEFI
  .ext4                   a file system for a guest whose kernel is started directly
What boots has init, udev, kernel and loader; a tree has only what keys ask
(--for says otherwise). A checksum (OUT.sha256) and a package manifest (OUT.spdx.json) lie beside it.`,
		Example: "  slipway build web.yaml -o web.tar.zst",
		Args:    oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := build.CheckOutput(out); err != nil {
				return err
			}
			if class == "" {
				class = string(build.OutputClass(out))
			}
			b, result, err := env.build(cmd.Context(), args[0], flags, plan.Class(class))
			if err != nil {
				return err
			}
			if out != "" {
				if err := b.Export(cmd.Context(), result, out); err != nil {
					return err
				}
			}
			if env.opt.json {
				return json.NewEncoder(env.Stdout).Encode(map[string]any{
					"event": "built", "key": result.Key, "output": out, "built": result.Built,
					"packages": len(result.Prepared.Packages()), "fetched_bytes": result.Fetched, "reused": result.Reused,
				})
			}
			if out != "" {
				_, err = fmt.Fprintln(env.Stdout, out)
			} else {
				_, err = fmt.Fprintln(env.Stdout, result.Key)
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "write an image to `OUT`; the format follows the suffix")
	cmd.Flags().StringVar(&class, "for", "", "`CLASS` of packages: plain, container, bootable (default: what OUT needs)")
	flags.add(cmd)
	return streaming(env, profiling(env, cmd))
}
