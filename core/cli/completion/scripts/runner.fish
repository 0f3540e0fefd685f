# Completion of runner for fish.

function __runner_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    # What an option takes is a path of its own.
    set -l option (string match -r -- '^-[^=]*=' "$current")
    set -l value (string replace -r -- '^-[^=]*=' '' "$current")
    for line in (command $words[1] __complete -- $words[2..-1] "$current" 2> /dev/null)
        switch $line
            case :files
                for path in (__fish_complete_path "$value")
                    printf '%s%s\n' "$option" $path
                end
            case :dirs
                for path in (__fish_complete_directories "$value")
                    printf '%s%s\n' "$option" $path
                end
            case '*'
                printf '%s\n' $line
        end
    end
end

complete -c runner -f -a '(__runner_complete)'
