# Completion of llmx for PowerShell. llmx itself says what may stand there: `llmx completions powershell` prints this file.

Register-ArgumentCompleter -Native -CommandName 'llmx' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $words = @($commandAst.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursorPosition } | ForEach-Object {
        if ($_ -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $_.Value } else { $_.Extent.Text }
    })
    # The dot: an empty argument would be lost.
    $answer = @(& llmx __complete powershell -- @words ".$wordToComplete" 2> $null)
    # Without an answer of ours PowerShell completes file names by itself.
    if ($answer.Count -lt 2 -or $answer[0] -ne 'words') { return }
    foreach ($line in $answer[1..($answer.Count - 1)]) {
        $text, $about = $line -split "`t", 2
        if (-not $about) { $about = $text }
        # What would mean something to PowerShell is quoted.
        $written = if ($text -match '[^A-Za-z0-9_./:=+-]' -or $text -notmatch '^[A-Za-z0-9-]') { "'" + $text.Replace("'", "''") + "'" } else { $text }
        [System.Management.Automation.CompletionResult]::new($written, $text, 'ParameterValue', $about)
    }
}
