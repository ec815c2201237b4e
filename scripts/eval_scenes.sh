# Trains and evaluates every scene of a folder, and prints a table: for eval_blender.sh and eval_llff.sh, which source it.
#
# Results stay under outputs/<scene>/, which is why --output-dir and --run-name are the scripts' own. Evaluation is on all
# test views by the protocol of NerfBaselines (docs/results.md), with LPIPS where --lpips names weights of VGG16. GRIDFIELD
# names the program (default: target/release/gridfield, built where it is missing).

complain() {
    echo "${0##*/}: $*" >&2
    exit 2
}

# One figure of an eval.json, `-` where it has none.
figure() {
    local value
    value=$(sed -n "/^ *\"$2\":/{s/^[^:]*: *//;s/,\$//;p;q;}" "$1")
    case $value in '' | null) echo - ;; *) echo "$value" ;; esac
}

# eval_scenes DATASET MARKER REDUCED DIR [FLAG ...]: of every folder of DIR that holds the file MARKER. What others publish
# of DATASET stands in published.tsv and is of images reduced REDUCED times, as ours are where no flag says otherwise.
eval_scenes() {
    local dataset=$1 marker=$2 reduced=$3
    shift 3
    if [ $# -lt 1 ] || [ ! -d "$1" ]; then
        echo "usage: scripts/${0##*/} DIR [--lpips FILE] [flags of gridfield train]; DIR holds the scenes' folders" >&2
        exit 2
    fi
    local folder=$1 scene run name scenes=() rows=() notes= lpips
    shift
    local of_train=() of_eval=(--split test --protocol nerfbaselines) size=(--downscale "$reduced")
    [ "$reduced" != 1 ] || size=()
    while [ $# -gt 0 ]; do
        case $1 in
            --output-dir | --output-dir=* | --run-name | --run-name=*)
                complain "${1%%=*} is the script's own to set; leave it away, and run from where outputs/ is to be"
                ;;
            --lpips)
                lpips=${2-}
                [ $# -eq 1 ] || shift
                ;;
            --lpips=*) lpips=${1#*=} ;;
            *)
                case $1 in --downscale | --downscale=* | scene.downscale=* | --set=scene.downscale=*) size=() ;; esac
                of_train+=("$1")
                ;;
        esac
        shift
    done
    if [ -n "${lpips+given}" ]; then
        # Before hours of training, not behind them.
        [ -f "$lpips" ] || complain "--lpips needs a file of weights, and there is none at '$lpips'"
        of_eval+=(--lpips "$lpips")
    fi
    for scene in "$folder"/*/; do
        [ ! -f "$scene/$marker" ] || scenes+=("$(basename "$scene")")
    done
    [ ${#scenes[@]} -gt 0 ] || complain "no folder of $folder holds a $marker"

    local here gridfield
    here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    gridfield=${GRIDFIELD:-$here/target/release/gridfield}
    [ -x "$gridfield" ] || (cd "$here" && cargo build --release)
    name=eval-$(date -u +%Y%m%d-%H%M%S)
    for scene in "${scenes[@]}"; do
        "$gridfield" train "$folder/$scene" --run-name "$name" ${size[@]+"${size[@]}"} ${of_train[@]+"${of_train[@]}"}
        run=$(ls -d "outputs/$scene"/*/"$name")
        "$gridfield" eval "$run" "${of_eval[@]}"
        run=$run/eval.json
        rows+=("$scene"$'\t'"$(figure "$run" psnr)"$'\t'"$(figure "$run" ssim)"$'\t'"$(figure "$run" lpips)")
        if [ "$(figure "$run" downscale)" != "$reduced" ]; then
            notes="Our images are divided by $(figure "$run" downscale) in each direction, the others' by $reduced: not comparable."
        fi
    done
    printf '\n'
    printf '%s\n' "${rows[@]}" | comparison "$dataset" "$here/scripts/published.tsv"
    [ -z "$notes" ] || echo "$notes"
}

# comparison DATASET PUBLISHED: the table of what stdin has of ours, `scene PSNR SSIM LPIPS` a line, beside what is
# published, with means over the scenes that were run; `-` where a figure is missing.
comparison() {
    awk -F '\t' -v dataset="$1" '
        function mean(sum, missing, decimals) { return missing ? "-" : sprintf("%." decimals "f", sum / n) }
        function shown(figure, decimals) { return figure == "-" ? "-" : sprintf("%." decimals "f", figure) }
        function line(scene, psnr, ssim, lpips) { printf "%-12s %7s %7s %7s", scene, psnr, ssim, lpips }
        NR == FNR {
            if ($1 != dataset) next
            if ($2 == "source") source = $3
            else if ($2 == "scenes") for (i = 3; i <= NF; i++) column[$i] = i
            else {
                method[++methods] = $2
                for (i = 3; i <= NF; i++) published[$2, i] = $i
            }
            next
        }
        { scene[++n] = $1; for (k = 2; k <= 4; k++) { ours[n, k] = $k; sum[k] += $k; missing[k] += $k == "-" } }
        END {
            line("scene", "PSNR", "SSIM", "LPIPS")
            for (m = 1; m <= methods; m++) printf " %11s", method[m]
            print ""
            for (s = 1; s <= n; s++) {
                line(scene[s], shown(ours[s, 2], 2), shown(ours[s, 3], 4), shown(ours[s, 4], 4))
                known += scene[s] in column
                for (m = 1; m <= methods; m++) {
                    figure = scene[s] in column ? published[method[m], column[scene[s]]] : "-"
                    total[m] += figure
                    unknown[m] += figure == "-"
                    printf " %11s", figure
                }
                print ""
            }
            line("mean", mean(sum[2], missing[2], 2), mean(sum[3], missing[3], 4), mean(sum[4], missing[4], 4))
            for (i in column) all++
            for (m = 1; m <= methods; m++) {
                # All scenes of the data set and no other, the mean among its columns not counted.
                is_whole = known == n && n == all - 1
                printf " %11s", is_whole ? published[method[m], column["mean"]] : mean(total[m], unknown[m], 2)
            }
            print "\n\nPSNR, SSIM and LPIPS are ours; beside them PSNR in dB, from " source "."
        }' "$2" -
}
