# Completion of llmx for fish. llmx itself says what may stand there: `llmx completions fish` prints this file.

function __llmx_complete
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    set -l word (commandline --current-token --cut-at-cursor)
    # A word in quotes that are still open cannot be read as one.
    set -l read (string unescape -- "$word"); and set word $read
    set -l program $words[1]
    type --query -- $program; or set program llmx
    set -l answer ($program __complete fish -- $words "$word" 2>/dev/null)
    switch "$answer[1]"
        case 'files*'
            set -l before (string sub --start 6 -- $answer[1])
            set -l rest (string sub --start (math (string length -- "$before") + 1) -- "$word")
            for path in (__fish_complete_path "$rest")
                echo -- $before$path
            end
        case 'folders*'
            set -l before (string sub --start 8 -- $answer[1])
            set -l rest (string sub --start (math (string length -- "$before") + 1) -- "$word")
            for path in (__fish_complete_directories "$rest")
                echo -- $before$path
            end
        case '*'
            string join \n -- $answer[2..-1]
    end
end

complete --command llmx --no-files --keep-order --arguments '(__llmx_complete)'
